"""The terminal while Snakemake runs: the study's line and one for each running job, drawn again in place.

What Snakemake says of every job stays in its log file; errors, warnings, and all that jobs themselves write to standard
errors scroll above these lines, whole. Without a terminal Snakemake's words are as they are, and the study's line comes
between them.

Snakemake finds logger plugins among the packages that are installed, before it reads a Snakefile; this one belongs to
the checkout whose Snakefile asks for it, and needs no option.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from recite.jobs import status
from recite.jobs.course import Noted, Notes
from recite.planning.limits import Limits
from recite.progress import INTERVAL
from recite.provenance.records import path_in, record_path

STREAM = "DefaultStreamHandler"
"""Snakemake's own handler for the terminal; with another one, of a plugin that was asked for, all is left to that."""
OF_EVERY_JOB = {
    *(LogEvent.JOB_INFO, LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED, LogEvent.GROUP_INFO, LogEvent.SHELLCMD),
    *(LogEvent.PROGRESS, LogEvent.RESOURCES_INFO),
}
CHATTER = (
    *("Select jobs to execute", "Job rate limit reached", "Touching output file "),
    " has been submitted with SLURM jobid ",
)
"""Words of every look for jobs, and of jobs that are submitted or do nothing."""
PAUSE, REMOTE_PAUSE = 1.0, 5.0
"""Seconds between two looks at jobs of this machine, and at those of a cluster."""

_showing: list["Shown"] = []


def show(workflow: Any, results: str, limits: Limits) -> None:
    """Note the course of Snakemake's run and show it, until `end` or the end of logging."""
    end()
    study = Path(results)
    jobs = {job.jobid: _noted(job, study) for job in workflow.dag.needrun_jobs() if job.log}
    queued = workflow.executor_plugin.common_settings.non_local_exec
    gpu = workflow.global_resources.get("gpu")
    allowed = (workflow.nodes if queued else workflow.cores, getattr(gpu, "value", gpu))
    slots = [number for number in allowed if isinstance(number, int) and number]
    notes = Notes(study, jobs, min(slots, default=1), queued)
    look = partial(status.look, study, limits.jobs, notes.course)
    _showing.append(Shown(notes, look, REMOTE_PAUSE if queued else PAUSE, workflow.output_settings))


def end() -> None:
    """Show no more."""
    while _showing:
        _showing.pop().close()


def _noted(job: Any, study: Path) -> Noted:
    name = Path(job.log[0]).relative_to(study / "logs").with_suffix("").as_posix()
    return Noted(name, record_path(study, path_in(study, str(job.output[0]))))


class Shown(logging.Handler):
    """Tells the notes of a run, then shows how far it is: on a terminal in place, else now and then in a line."""

    def __init__(self, notes: Notes, look: Callable[[], status.Status], pause: float, settings: Any) -> None:
        super().__init__()
        self.notes, self.look = notes, look
        self.said = time.monotonic()
        self.stream = next((handler for handler in logger.handlers if handler.name == STREAM), None)
        self.quiet = bool({Quietness.ALL, Quietness.PROGRESS} & set(settings.quiet or ()))
        self.screen = None
        if self.stream and sys.stderr.isatty() and os.getenv("TERM") != "dumb" and not (self.quiet or settings.verbose):
            from recite.jobs.screen import Screen  # here, as no other process of Snakemake needs it

            self.stream.addFilter(worth_a_line)
            self.screen = Screen(look, pause)
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.notes.emit(record)
            if getattr(record, "event", None) == LogEvent.PROGRESS and not (self.screen or self.quiet):
                self._say()
        except Exception:  # as of every handler: the run goes on
            self.handleError(record)

    def _say(self) -> None:
        if time.monotonic() - self.said >= INTERVAL:
            self.said = time.monotonic()
            logger.info(self.look().heading)

    def close(self) -> None:
        logger.removeHandler(self)
        if self.screen:
            self.screen.close()
            self.screen = None
        if self.stream:
            self.stream.removeFilter(worth_a_line)
        self.notes.close()
        super().close()


def worth_a_line(record: logging.LogRecord) -> bool:
    """Whether words of Snakemake's are shown beside the lines that are drawn: all but what it says of every job."""
    if record.levelno > logging.INFO:
        return True
    words = str(record.msg)
    return getattr(record, "event", None) not in OF_EVERY_JOB and not any(known in words for known in CHATTER)
