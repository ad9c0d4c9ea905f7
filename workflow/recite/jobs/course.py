"""The course of a run: which jobs Snakemake has to do, has started, and has seen end, in a file beside the logs.

The process that runs Snakemake writes it, and holds it as a job holds its log; whoever watches reads it, on whatever
machine.
"""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from snakemake_interface_logger_plugins.common import LogEvent

from recite.errors import ReciteError
from recite.files import read_json
from recite.jobs.logs import hold, is_held

FILE = "logs/run.jsonl"
STARTED, FINISHED, FAILED = "started", "finished", "failed"


@dataclass
class Course:
    """How far a run is; jobs by name.

    since: when it began, in seconds of the clock. jobs: all that it has to do. slots: how many run at once. queued:
    whether a started job may wait in a cluster's queue. started: jobs that have started and not ended, and when.
    finished: what they took, in seconds, None where nobody knows. failed: jobs whose last attempt failed.
    """

    since: float
    jobs: list[str]
    slots: int
    queued: bool
    started: dict[str, float] = field(default_factory=dict)
    finished: dict[str, float | None] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def note(self, event: str, job: str, number: float | None) -> None:
        """A job has started, at a moment, or finished, in so many seconds, or failed."""
        self.started.pop(job, None)
        self.failed.discard(job)
        if event == STARTED:
            self.started[job] = number or 0.0
        elif event == FINISHED:
            self.finished[job] = number
        else:
            self.failed.add(job)


def read_course(study: Path) -> Course | None:
    """The course of the run that Snakemake is at in a study's folder, or None if it is at none."""
    path = study / FILE
    if not is_held(path):
        return None
    try:
        first, *lines = path.read_text().rpartition("\n")[0].splitlines()
        course = Course(**json.loads(first))
    except ValueError:  # on a full disk lines may be cut off, or missing
        return None
    for line in lines:
        with suppress(ValueError):
            course.note(*json.loads(line))
    return course


class Noted(NamedTuple):
    """A job of the DAG: its name, as its log and the plan have it, and where its record lies."""

    name: str
    record: Path


class Notes(logging.Handler):
    """Writes a run's course as Snakemake's logger tells of its jobs, which it knows by number."""

    def __init__(self, study: Path, jobs: Mapping[int, Noted], slots: int, queued: bool) -> None:
        super().__init__()
        self.numbered = jobs
        self.course = Course(time.time(), [job.name for job in jobs.values()], slots, queued)
        self.file: IO[str] | None = None
        with suppress(OSError):
            (study / FILE).parent.mkdir(parents=True, exist_ok=True)
            self.file = (study / FILE).open("w", buffering=1)
            hold(self.file)
        given = {"since": self.course.since, "jobs": self.course.jobs, "slots": slots, "queued": queued}
        self._write(given)

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_STARTED:
            for number in record.jobs:  # type: ignore[attr-defined]
                self._note(STARTED, number, time.time())
        elif event == LogEvent.JOB_FINISHED:
            self._note(FINISHED, record.job_id, None)  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            self._note(FAILED, record.jobid, None)  # type: ignore[attr-defined]

    def _note(self, event: str, number: int, value: float | None) -> None:
        job = self.numbered.get(number)
        if job is None:
            return
        if event == FINISHED:
            value = _seconds(job.record, self.course.since)
        self.course.note(event, job.name, value)
        self._write([event, job.name, value])

    def _write(self, line: Any) -> None:
        """Add a line; on a disk that is full, or not ours, the run goes on without."""
        if self.file:
            with suppress(OSError):
                self.file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        if self.file:
            with suppress(OSError):
                self.file.close()
        super().close()


def _seconds(record: Path, since: float) -> float | None:
    """What a job took by its record, if it is one of this run."""
    try:
        found = read_json(record)
        return float(found["seconds"]) if datetime.fromisoformat(found["started"]).timestamp() > since else None
    except (ReciteError, OSError, KeyError, TypeError, ValueError):
        return None
