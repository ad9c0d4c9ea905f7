"""recite.planning.ahead: what is left of a run, beside a simulated schedule of the same jobs."""

import random

import pytest

from recite.planning.ahead import Pace, seconds_left
from recite.planning.costs import START_SECONDS, Machine
from recite.planning.job import Job
from recite.planning.simulation import simulate


def dag(seed: int, jobs: int = 40) -> dict[str, Job]:
    """Jobs of three rules, each after some that stand before it."""
    made: dict[str, Job] = {}
    chance = random.Random(seed)
    for number in range(jobs):
        name = f"{chance.choice(['a', 'b', 'c'])}/{number}"
        after = tuple(chance.sample(sorted(made), min(len(made), chance.randrange(3))))
        made[name] = Job(name, name[0], str(number), chance.uniform(1, 100), after)
    return made


@pytest.mark.parametrize("seed", range(5))
def test_beside_a_schedule(seed: int) -> None:
    """One after the other, and all at once, the time is that of a schedule; else no schedule is shorter."""
    plan = dag(seed)
    pace = Pace(plan, {})
    for slots in (1, 3, len(plan)):
        machine = Machine(servers=1, gpus=0, cores=slots)
        makespan = simulate(list(plan.values()), machine).makespan
        left = seconds_left(pace, {}, plan, (), slots)
        assert left is not None and left <= makespan + 1e-6
        if slots != 3:
            assert left == pytest.approx(makespan)
        assert makespan <= 2 * left  # as of any list schedule


def test_what_runs_counts_with_what_is_left_of_it() -> None:
    """A job that has run for most of its time would count whole, and what waits for it too late."""
    plan = {"a/1": Job("a/1", "a", "", 100, ()), "b/1": Job("b/1", "b", "", 10, ("a/1",))}
    assert seconds_left(Pace(plan, {}), {"a/1": 25.0}, ["b/1"], (), 4) == 35.0


def test_jobs_that_ended_teach() -> None:
    """A plan is for one machine: what the jobs of a rule took over their plan holds for the rest of it."""
    plan = {name: Job(name, name[0], "", seconds, ()) for name, seconds in [("a/1", 10), ("a/2", 20), ("b/1", 30)]}
    assert [Pace(plan, {}).seconds(job) for job in plan] == [10, 20, 30]
    pace = Pace(plan, {"a/1": 5.0})
    assert (pace.seconds("a/2"), pace.seconds("b/1")) == (10, 15)
    pace = Pace(plan, {"a/1": 5.0, "b/1": 90.0})
    assert pace.seconds("a/2") == 10 and pace.seconds("b/9") == pytest.approx(3 * START_SECONDS)


def test_without_a_plan() -> None:
    """A study that says too little for a plan: nothing is known before a job has ended, then its mean."""
    assert seconds_left(Pace({}, {}), {}, ["a/1", "a/2"], (), 1) is None
    pace = Pace({}, {"a/0": 4.0, "a/3": 6.0, "b/0": 100.0})
    assert seconds_left(pace, {}, ["a/1", "a/2"], (), 1) == pytest.approx(10)


def test_what_waits_for_a_failed_job_is_not_waited_for() -> None:
    """A run that goes on after a failure would never seem to end."""
    after = {"a": (), "b": ("a",), "c": ("b",), "d": ()}
    plan = {name: Job(name, name, "", 10, before) for name, before in after.items()}
    assert seconds_left(Pace(plan, {}), {}, plan, {"a"}, 1) == 10
    assert seconds_left(Pace(plan, {}), {}, plan, {"b"}, 1) == 20
