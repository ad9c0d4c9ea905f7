"""recite.planning.simulation: schedules against closed forms, and bounds that no schedule can beat."""

import random
from itertools import pairwise

import pytest

from recite.errors import ReciteError
from recite.planning.costs import Machine
from recite.planning.job import Job
from recite.planning.simulation import Schedule, simulate


def job(name: str, seconds: float, *after: str, gpus: int = 1, cores: int = 1) -> Job:
    return Job(name, "scoring", "", seconds, after, gpus, cores)


def machine(servers: int, gpus: int, cores: int = 64) -> Machine:
    return Machine(servers=servers, gpus=gpus, cores=cores)


def starts(schedule: Schedule) -> dict[str, float]:
    return {run.job.name: run.start for run in schedule.runs}


def test_one_gpu_runs_one_job_after_the_other() -> None:
    """The longest first; of equal jobs the first of the plan."""
    schedule = simulate([job("b", 3), job("c", 7), job("a", 3)], machine(1, 1))
    assert starts(schedule) == {"c": 0, "b": 7, "a": 10}
    assert schedule.makespan == 13 and schedule.idle == 0


@pytest.mark.parametrize(("jobs", "servers", "gpus"), [(1, 1, 1), (12, 2, 3), (13, 2, 3), (17, 4, 4)])
def test_equal_jobs_run_in_rounds(jobs: int, servers: int, gpus: int) -> None:
    schedule = simulate([job(f"{index}", 5) for index in range(jobs)], machine(servers, gpus))
    rounds = -(-jobs // (servers * gpus))
    assert schedule.makespan == 5 * rounds
    assert schedule.idle == pytest.approx(1 - jobs / (rounds * servers * gpus))


def test_a_chain_takes_the_sum_of_its_jobs() -> None:
    jobs = [job("0", 1), *(job(str(index), index + 1, str(index - 1)) for index in range(1, 6))]
    schedule = simulate(jobs[::-1], machine(3, 4))
    assert schedule.makespan == 21
    assert schedule.bounds["critical path"] == 21
    assert [made.name for made in schedule.chain] == ["0", "1", "2", "3", "4", "5"]
    assert schedule.idle == pytest.approx(1 - 1 / 12)


def test_two_gpus_must_be_of_one_server() -> None:
    """A GPU is free on each server from the start, but two on one only once the shorter job has ended."""
    jobs = [job("long", 10), job("short", 6), job("gate", 1, gpus=0), job("wide", 2, "gate", gpus=2)]
    schedule = simulate(jobs, machine(2, 2))
    # Both go to the first server, the fullest: the wide job has the second for itself.
    assert starts(schedule)["wide"] == 1
    jobs = [job("fill 1", 10), job("fill 2", 10), job("rest", 6, gpus=2), job("wide", 2, gpus=2)]
    assert starts(simulate(jobs, machine(2, 2)))["wide"] == 6
    jobs = [job("3 of 1", 10, gpus=3), job("3 of 2", 8, gpus=3), job("wide", 2, gpus=2)]
    assert starts(simulate(jobs, machine(2, 4)))["wide"] == 8


def test_jobs_that_fit_pass_those_that_do_not() -> None:
    jobs = [job("first", 4, gpus=1), job("wide", 3, gpus=2), job("small", 1)]
    assert starts(simulate(jobs, machine(1, 2))) == {"first": 0, "small": 0, "wide": 4}


def test_cores_bound_jobs_without_gpus() -> None:
    jobs = [job(str(index), 5, gpus=0, cores=16) for index in range(6)]
    schedule = simulate(jobs, machine(2, 0, cores=24))
    assert schedule.makespan == 15 and schedule.idle is None
    assert schedule.bounds["core work"] == pytest.approx(6 * 16 * 5 / 48)


def test_idle_share() -> None:
    """Two GPUs for 10 seconds, in use for 10 and 4; a job without GPUs uses none."""
    schedule = simulate([job("a", 10), job("b", 4), job("c", 9, gpus=0)], machine(1, 2))
    assert schedule.idle == pytest.approx(6 / 20)


def test_nothing_to_do() -> None:
    schedule = simulate([], machine(1, 1))
    assert (schedule.makespan, schedule.idle, schedule.chain) == (0, None, [])


def test_a_job_that_no_server_can_hold() -> None:
    with pytest.raises(
        ReciteError, match=r"job wide needs 3 GPUs and 1 cores of one server, which has 2 .*raise --gpus"
    ):
        simulate([job("wide", 1, gpus=3)], machine(8, 2))
    with pytest.raises(ReciteError, match=r"raise --gpus or --cores"):
        simulate([job("threads", 1, cores=99)], machine(8, 2))


def test_jobs_in_a_circle() -> None:
    with pytest.raises(ValueError, match="circle"):
        simulate([job("a", 1, "b"), job("b", 1, "a")], machine(1, 1))


def random_jobs(seed: int) -> list[Job]:
    generator = random.Random(seed)
    jobs: list[Job] = []
    for index in range(60):
        earlier = [made.name for made in generator.sample(jobs, min(len(jobs), generator.randrange(3)))]
        gpus, cores = generator.choice([0, 1, 1, 2, 4]), generator.randrange(1, 9)
        jobs.append(
            job(f"j{index}", generator.choice([0.0, 1.0, 2.5, generator.random()]), *earlier, gpus=gpus, cores=cores)
        )
    generator.shuffle(jobs)
    return jobs


@pytest.mark.parametrize("seed", range(25))
def test_schedules_of_random_jobs(seed: int) -> None:
    """Every job runs once, after what it waits for, within the servers; no bound is beaten; twice the same."""
    jobs, servers = random_jobs(seed), machine(1 + seed % 3, 4, cores=8)
    schedule = simulate(jobs, servers)
    assert schedule == simulate(jobs, servers)
    assert sorted(run.job.name for run in schedule.runs) == sorted(made.name for made in jobs)
    ends = {run.job.name: run.end for run in schedule.runs}
    assert all(run.start >= max((ends[name] for name in run.job.after), default=0) for run in schedule.runs)
    assert schedule.makespan >= max(schedule.bounds.values()) - 1e-9
    for moment in {run.start for run in schedule.runs}:
        for server in range(servers.servers):
            held = [run.job for run in schedule.runs if run.server == server and run.start <= moment < run.end]
            assert sum(made.gpus for made in held) <= servers.gpus
            assert sum(made.cores for made in held) <= servers.cores
    for before, after in pairwise(schedule.chain):
        assert before.name in after.after


@pytest.mark.parametrize("seed", range(5))
def test_the_chain_is_the_costliest(seed: int) -> None:
    """Against a search over all chains."""
    jobs = {made.name: made for made in random_jobs(seed)}

    def longest(name: str) -> float:
        return jobs[name].seconds + max((longest(before) for before in jobs[name].after), default=0.0)

    schedule = simulate(list(jobs.values()), machine(2, 4, cores=8))
    assert schedule.bounds["critical path"] == pytest.approx(max(longest(name) for name in jobs))
