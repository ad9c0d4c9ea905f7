"""Which jobs of a study run and how far they are, from their logs, whether they run here or on a cluster's nodes."""

import re
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table

from recite.jobs.logs import is_held

LINE = re.compile(r"^\S+ (([\d,]+) of ([\d,]+) \S+, \S+ a second, \S+ left)$", re.MULTILINE)
"""A line of `recite.progress`."""
TAIL = 2**16
"""Bytes at the end of a log among which its last line of progress is looked for."""
PAUSE = 5.0
"""Seconds between two looks."""
BAR = 24
"""Characters of a bar on a terminal."""


class Running(NamedTuple):
    """A job that runs.

    job: its rule and what it is about, as its log is named. silent: time since its last word. done, total: of what it
    counts. words: its last line of progress, or that there is none yet.
    """

    job: str
    silent: timedelta
    done: int
    total: int
    words: str

    def __str__(self) -> str:
        return f"{self.job}: {self.done / self.total:.0%}, {self.words} (last word {self.silent} ago)"


def running_jobs(study: Path) -> Iterator[Running]:
    """The jobs of a study that run, by name."""
    folder = study / "logs"
    for path in sorted(folder.rglob("*.log")):
        if is_held(path):
            with path.open("rb") as log:
                log.seek(max(0, path.stat().st_size - TAIL))
                text = log.read().decode(errors="replace")
            found = list(LINE.finditer(text))
            words, *counts = found[-1].groups() if found else ("no line of progress yet", "0", "1")
            done, total = (int(count.replace(",", "")) for count in counts)
            job = path.relative_to(folder).with_suffix("").as_posix()
            silent = timedelta(seconds=max(0, round(time.time() - path.stat().st_mtime)))
            yield Running(job, silent, done, total, words)


def summary(study: Path, jobs: Sequence[Running]) -> str:
    """The heading of a list of jobs."""
    return f"{study}: " + {0: "no job runs", 1: "1 job runs"}.get(len(jobs), f"{len(jobs)} jobs run")


def watch(study: Path) -> None:
    """Show the jobs that run on the terminal, with bars, again and again until it is interrupted."""
    with Live(auto_refresh=False) as live:
        while True:
            jobs = list(running_jobs(study))
            table = Table.grid(Column(width=BAR), Column(no_wrap=True, overflow="ellipsis"), padding=(0, 1))
            table.title, table.title_justify = summary(study, jobs), "left"
            for job in jobs:
                table.add_row(ProgressBar(job.total, job.done), str(job))
            live.update(table, refresh=True)
            time.sleep(PAUSE)
