"""recite.jobs.course and status: a run as its head process notes it, and what is read of that elsewhere."""

import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from recite.jobs.course import FILE, Noted, Notes, read_course
from recite.jobs.status import MOST, look
from recite.planning.job import Job

STUDY = Path("results/tiny")
NAMES = ["a/one", "a/two", "b/one"]


def told(event: LogEvent, **named: Any) -> logging.LogRecord:
    """What Snakemake's logger says."""
    record = logging.LogRecord("snakemake", logging.INFO, "", 0, "", (), None)
    record.__dict__.update(named, event=event)
    return record


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Notes]]:
    """Begins to note a run of jobs, which have the numbers 1, 2, 3 ..."""
    monkeypatch.chdir(tmp_path)
    made: list[Notes] = []

    def begin(names: list[str] = NAMES, slots: int = 2, queued: bool = False) -> Notes:
        jobs = {number: Noted(name, STUDY / f"records/{name}.json") for number, name in enumerate(names, 1)}
        made.append(Notes(STUDY, jobs, slots, queued))
        return made[-1]

    yield begin
    for notes in made:
        notes.close()


def hold(name: str, text: str = "") -> Any:
    """The log of a job that runs; it runs until the log is closed."""
    path = STUDY / f"logs/{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    log = path.open("w")
    log.write(text)
    log.flush()
    fcntl.flock(log, fcntl.LOCK_SH)
    return log


def plan(*names: str, seconds: float = 100) -> dict[str, Job]:
    return {name: Job(name, name[0], "", seconds, ()) for name in names}


def end(notes: Notes, number: int, seconds: float) -> None:
    """A job finishes, and has a record of how long it took."""
    record = notes.numbered[number].record
    record.parent.mkdir(parents=True, exist_ok=True)
    started = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 1))
    record.write_text(json.dumps({"seconds": seconds, "started": started}))
    notes.emit(told(LogEvent.JOB_FINISHED, job_id=number))


def test_what_is_noted_is_what_is_read(start: Callable[..., Notes]) -> None:
    """Whoever watches from elsewhere would see another run than the terminal shows."""
    notes = start()
    notes.emit(told(LogEvent.JOB_STARTED, jobs=[1, 2, 99]))
    notes.emit(told(LogEvent.JOB_INFO, jobid=1))
    end(notes, 1, 12.5)
    notes.emit(told(LogEvent.JOB_ERROR, jobid=2))
    course = notes.course
    assert (course.jobs, course.started, course.finished, course.failed) == (NAMES, {}, {"a/one": 12.5}, {"a/two"})
    assert read_course(STUDY) == course
    notes.emit(told(LogEvent.JOB_STARTED, jobs=[2]))
    again = read_course(STUDY)
    assert again == course and list(course.started) == ["a/two"] and not course.failed
    notes.close()
    assert read_course(STUDY) is None


def test_an_old_record_teaches_nothing(start: Callable[..., Notes]) -> None:
    """A job that takes back what stood keeps its record, of a run that took longer."""
    notes = start()
    record = notes.numbered[1].record
    record.parent.mkdir(parents=True)
    record.write_text('{"seconds": 900.0, "started": "2026-01-01T00:00:00+00:00"}')
    notes.emit(told(LogEvent.JOB_FINISHED, job_id=1))
    assert notes.course.finished == {"a/one": None}


def test_a_disk_that_fills(start: Callable[..., Notes]) -> None:
    """Lines that are cut off are passed over, and no course at all is no error."""
    notes = start()
    notes.emit(told(LogEvent.JOB_STARTED, jobs=[1]))
    with (STUDY / FILE).open("a") as file:
        file.write('["finished", "a/o["started", "a/two", 5.0]\n["failed", "b/')
    course = read_course(STUDY)
    assert course is not None and list(course.started) == ["a/one"]
    os.truncate(STUDY / FILE, 20)
    assert read_course(STUDY) is None
    os.truncate(STUDY / FILE, 0)
    assert read_course(STUDY) is None


def test_time_left(start: Callable[..., Notes]) -> None:
    """By the plan before a job has ended, then by what those that ended took; nothing of a run without either."""
    notes = start(slots=1)
    assert look(STUDY, plan(*NAMES), notes.course).heading == (
        "results/tiny: 0 of 3 jobs done, about 0:05:00 left; no job runs"
    )
    assert look(STUDY, {}, notes.course).heading == "results/tiny: 0 of 3 jobs done; no job runs"
    end(notes, 1, 50)
    assert look(STUDY, plan(*NAMES), notes.course).heading == (
        "results/tiny: 1 of 3 jobs done, about 0:01:40 left; no job runs"
    )
    notes.emit(told(LogEvent.JOB_STARTED, jobs=[2]))
    notes.course.started["a/two"] -= 20
    with hold("a/two"):
        found = look(STUDY, plan(*NAMES), notes.course)
        assert [str(job) for job in found.shown] == ["a/two: for 0:00:20, about 0:00:30 left"]
        assert found.heading == "results/tiny: 1 of 3 jobs done, about 0:01:20 left; 1 job runs"
    with hold("a/two", "2026-01-01T00:00:00+00:00 90 of 100 rows, 2.5 a second, 0:00:04 left\n"):
        found = look(STUDY, plan(*NAMES), notes.course)
        assert str(found.shown[0]).startswith("a/two: 90%, 90 of 100 rows, 2.5 a second, 0:00:04 left (last word ")
        assert found.heading == "results/tiny: 1 of 3 jobs done, about 0:00:55 left; 1 job runs"
    for number in (2, 3):
        end(notes, number, 1)
    notes.course.since -= 60
    assert look(STUDY, plan(*NAMES), notes.course).heading == "results/tiny: 3 of 3 jobs done in 0:01:00; no job runs"


def test_a_queue(start: Callable[..., Notes]) -> None:
    """A cluster that gives four of 64 GPUs: all of them at work would be told for days."""
    names = [f"a/{number}" for number in range(100)]
    notes = start(names, 64, True)
    assert "about 0:02:36 left" in look(STUDY, plan(*names), notes.course).heading
    notes.emit(told(LogEvent.JOB_STARTED, jobs=list(range(1, 65))))
    logs = [hold(name) for name in names[:4]]
    heading = look(STUDY, plan(*names), notes.course).heading
    assert heading == "results/tiny: 0 of 100 jobs done, about 0:41:40 left; 4 jobs run, 60 in the queue"
    logs.pop().close()  # it has ended, which Snakemake sees at its next look
    assert look(STUDY, plan(*names), notes.course).heading.endswith("; 3 jobs run, 60 in the queue")
    for log in logs:
        log.close()


def test_a_failed_job_is_told(start: Callable[..., Notes]) -> None:
    """With `keep-going` a run goes on for hours after a failure."""
    notes = start()
    notes.emit(told(LogEvent.JOB_STARTED, jobs=[1]))
    notes.emit(told(LogEvent.JOB_ERROR, jobid=1))
    assert look(STUDY, {}, notes.course).heading == "results/tiny: 0 of 3 jobs done; no job runs, 1 failed"


def test_two_thousand_jobs(start: Callable[..., Notes]) -> None:
    """Few lines, and a look that nobody notices, whatever the study's size."""
    names = [f"scoring/m/{number:04}" for number in range(4000)]
    notes, known = start(names, 2000, True), plan(*names)
    notes.emit(told(LogEvent.JOB_STARTED, jobs=list(range(1, 2001))))
    logs = [hold(name) for name in names[:200]]
    before = time.process_time()
    found = look(STUDY, known, notes.course)
    spent = time.process_time() - before
    assert len(found.shown) == MOST and found.more == "and 192 more" and "1,800 in the queue" in found.heading
    assert len(str(found).splitlines()) == MOST + 2
    assert spent < 1
    for log in logs:
        log.close()


def test_without_a_head(start: Callable[..., Notes]) -> None:
    """Jobs go on though Snakemake was killed: they are seen, and no old course is taken for theirs."""
    notes = start()
    notes.emit(told(LogEvent.JOB_STARTED, jobs=[1]))
    notes.close()
    with hold("a/one"):
        found = look(STUDY, plan(*NAMES), read_course(STUDY))
    assert (found.course, found.heading) == (None, "results/tiny: 1 job runs")
