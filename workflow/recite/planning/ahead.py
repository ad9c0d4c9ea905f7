"""What is left of a run, in seconds: by the plan, and by what the jobs that have ended took beside it."""

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

from recite.planning.costs import START_SECONDS
from recite.planning.job import Job


class Pace:
    """How long jobs take: as planned, times what the ended jobs of the same rule took over their plan.

    Of a rule of which none has ended, it is what all that have ended took over theirs. Jobs that no plan knows count as
    equal. plan: jobs by name. taken: seconds of the jobs that have ended, by name.
    """

    def __init__(self, plan: Mapping[str, Job], taken: Mapping[str, float]) -> None:
        self.plan, self.taken = plan, taken

    def seconds(self, job: str) -> float | None:
        """Seconds that a job is expected to take; None where neither a plan nor an ended job tells."""
        ratio = self._ratios.get(rule_of(job), self._ratios.get("", 1.0 if self.plan else None))
        return None if ratio is None else ratio * self._planned(job)

    def _planned(self, job: str) -> float:
        return self.plan[job].seconds if job in self.plan else START_SECONDS

    @cached_property
    def _ratios(self) -> dict[str, float]:
        """Rule -> seconds taken over seconds planned; of all rules together as ""."""
        sums: dict[str, tuple[float, float]] = {}
        for job, seconds in self.taken.items():
            for name in ("", rule_of(job)):
                taken, planned = sums.get(name, (0.0, 0.0))
                sums[name] = taken + seconds, planned + self._planned(job)
        return {name: taken / planned for name, (taken, planned) in sums.items()}


def rule_of(job: str) -> str:
    """The rule of a job, by the job's name."""
    return job.partition("/")[0]


def seconds_left(
    pace: Pace, running: Mapping[str, float | None], waiting: Iterable[str], failed: Collection[str], slots: int
) -> float | None:
    """Seconds until all is done: the work shared out evenly, or the longest chain of jobs that wait for each other.

    No schedule is shorter than either. Jobs that wait for a failed one are left out. None where nothing tells.
    running: seconds left of the jobs that run. waiting: the jobs that do not. slots: how many run at once.
    """
    seconds = {**running, **{job: pace.seconds(job) for job in waiting}}
    ends: dict[str, float] = {}
    blocked, work = set(failed), 0.0
    for job in [*pace.plan, *(job for job in seconds if job not in pace.plan)]:
        after = pace.plan[job].after if job in pace.plan else ()
        if not blocked.isdisjoint(after):
            blocked.add(job)
        elif job in seconds and job not in blocked:
            own = seconds[job]
            if own is None:
                return None
            work += own
            ends[job] = own + max((ends.get(name, 0.0) for name in after), default=0.0)
    return max(work / slots, max(ends.values(), default=0.0))
