"""How far a study is, and each of its jobs that run, here or on a cluster's nodes: a few lines, from files alone."""

import re
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from recite.jobs.course import Course
from recite.jobs.logs import is_held
from recite.planning.ahead import Pace, seconds_left
from recite.planning.job import Job

LINE = re.compile(r"^\S+ (([\d,]+) of ([\d,]+) \S+, \S+ a second, \S+ left)$", re.MULTILINE)
"""A line of `recite.progress`."""
TAIL = 2**16
"""Bytes at the end of a log among which its last line of progress is looked for."""
MOST = 8
"""Jobs that are shown, of those that run."""
OPENING = 10.0
"""Seconds from the start of a job on this machine within which it holds its log."""


class Running(NamedTuple):
    """A job that runs.

    name: its rule and what it is about, as its log is named. share: of its work that is done. words: how far it is.
    """

    name: str
    share: float
    words: str

    def __str__(self) -> str:
        return f"{self.name}: {self.words}"


class Status(NamedTuple):
    """How far a study is.

    shown: the first of the jobs that run. running, queued: how many run, and wait in a cluster's queue. course: of the
    run, None where no Snakemake is at work. left: seconds, None where nothing tells.
    """

    study: Path
    shown: list[Running]
    running: int
    queued: int = 0
    course: Course | None = None
    left: float | None = None

    @property
    def heading(self) -> str:
        """The study's line."""
        words = {0: "no job runs", 1: "1 job runs"}.get(self.running, f"{self.running:,} jobs run")
        if self.course is not None:
            done, total = len(self.course.finished), len(self.course.jobs)
            left = "" if not self.left else f", about {_clock(self.left)} left"
            passed = f" in {_clock(time.time() - self.course.since)}" if done == total else left
            words = f"{done:,} of {total:,} jobs done{passed}; {words}"
            words += f", {self.queued:,} in the queue" if self.queued else ""
            words += f", {len(self.course.failed):,} failed" if self.course.failed else ""
        return f"{self.study}: {words}"

    @property
    def more(self) -> str:
        """What stands for the jobs that are not shown."""
        hidden = self.running - len(self.shown)
        return f"and {hidden:,} more" if hidden else ""

    def __str__(self) -> str:
        return "\n".join(filter(None, [self.heading, *map(str, self.shown), self.more]))


def look(study: Path, plan: Mapping[str, Job], course: Course | None) -> Status:
    """How far a study is, by its plan and the course of its run."""
    if course is None:
        held = [path for path in sorted((study / "logs").rglob("*.log")) if is_held(path)]
        names = [path.relative_to(study / "logs").with_suffix("").as_posix() for path in held]
        return Status(study, [_running(study, name, None, None) for name in names[:MOST]], len(names))
    pace = Pace(plan, {job: seconds for job, seconds in list(course.finished.items()) if seconds is not None})
    started = list(course.started.items())
    now = time.time()
    running = {job: since for job, since in started if _runs(study, job, now - since, course.queued)}
    expected = {job: pace.seconds(job) for job in running}
    # How long a job has run on a cluster is not known: it may have waited in the queue.
    lasted = {job: None if course.queued else now - since for job, since in running.items()}
    shown = [_running(study, job, lasted[job], expected[job]) for job in [*running][:MOST]]
    passed = {job: seconds or 0.0 for job, seconds in lasted.items()}
    left = {job: None if seconds is None else max(0.0, seconds - passed[job]) for job, seconds in expected.items()}
    left |= {job.name: seconds * (1 - job.share) for job in shown if (seconds := expected[job.name]) is not None}
    # Snakemake sees that a job has ended at its next look.
    idle = [(job, since) for job, since in started if job not in running]
    ended = {job for job, since in idle if not course.queued or _begun(study, job, since)}
    waiting = [job for job in course.jobs if job not in running and job not in course.finished and job not in ended]
    queued = len(idle) - len(ended)
    # What waits in the queue though it could run shows how many run at once.
    slots = len(running) if queued and running else course.slots
    seconds = seconds_left(pace, left, waiting, list(course.failed), slots)
    return Status(study, shown, len(running), queued, course, seconds)


def _runs(study: Path, job: str, lasted: float, queued: bool) -> bool:
    """Whether a started job runs: one on this machine does before it holds its log."""
    return (not queued and lasted < OPENING) or is_held(study / f"logs/{job}.log")


def _begun(study: Path, job: str, since: float) -> bool:
    """Whether a job that was submitted at a moment has begun: it writes its log anew."""
    try:
        return (study / f"logs/{job}.log").stat().st_mtime >= since
    except OSError:
        return False


def _running(study: Path, job: str, lasted: float | None, expected: float | None) -> Running:
    """A job that has `lasted` so many seconds, if that is known, and is expected to last so many."""
    text, silent = _tail(study / f"logs/{job}.log")
    if found := list(LINE.finditer(text)):
        words, *numbers = found[-1].groups()
        done, total = (int(number.replace(",", "")) for number in numbers[:2])
        return Running(job, done / total, f"{done / total:.0%}, {words} (last word {_clock(silent)} ago)")
    if lasted is None:
        return Running(job, 0.0, f"no line of progress yet (last word {_clock(silent)} ago)")
    if not expected or lasted >= expected:
        return Running(job, 0.0 if expected is None else 1.0, f"for {_clock(lasted)}")
    return Running(job, lasted / expected, f"for {_clock(lasted)}, about {_clock(expected - lasted)} left")


def _tail(path: Path) -> tuple[str, float]:
    """The last words of a log, and how many seconds ago they were said; none of one that is not there yet."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - TAIL))
            return log.read().decode(errors="replace"), max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return "", 0.0


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
