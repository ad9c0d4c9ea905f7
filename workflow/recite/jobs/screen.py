"""The status of a study drawn in place on a terminal, for whoever watches and while Snakemake runs."""

import os
import select
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from recite.jobs.course import read_course
from recite.jobs.status import Status, look
from recite.planning.job import Job

PAUSE = 5.0
"""Seconds between two looks at jobs that run elsewhere."""
FOREVER = 1e8
BAR = 24
"""Characters of a bar."""


def drawn(status: Status) -> RenderableType:
    """The lines of a status with bars, none wider than the terminal."""
    table = Table.grid(Column(width=BAR), Column(no_wrap=True, overflow="ellipsis"), padding=(0, 1))
    for job in status.shown:
        table.add_row(ProgressBar(1, job.share), str(job))
    heading, more = (Text(line, no_wrap=True, overflow="ellipsis") for line in (status.heading, status.more))
    return Group(heading, table, *([more] if more else []))


def watch(study: Path, plan: Mapping[str, Job]) -> None:
    """Show on the terminal how far a study is, again and again until it is interrupted."""
    with Live(auto_refresh=False) as live:
        while True:
            live.update(drawn(look(study, plan, read_course(study))), refresh=True)
            time.sleep(PAUSE)


class Screen:
    """Lines at the foot of the terminal; what anybody writes to standard errors, jobs too, comes above them.

    A thread of its own takes these words from a pipe in the terminal's place, and draws. The cursor is never hidden, so
    that however this process ends the terminal is as it was.
    """

    def __init__(self, look: Callable[[], Status], pause: float) -> None:
        self.look, self.pause = look, pause
        self.terminal = os.dup(2)
        self.words, writing = os.pipe()
        self.ended, self.ending = os.pipe()
        sys.stderr.flush()
        os.dup2(writing, 2)
        os.close(writing)
        self.console = Console(file=os.fdopen(os.dup(self.terminal), "w", errors="replace"))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Leave the study's line as the last one and give the terminal back."""
        sys.stderr.flush()
        os.dup2(self.terminal, 2)
        os.write(self.ending, b"\n")
        self.thread.join()

    def _run(self) -> None:
        live = Live(console=self.console, auto_refresh=False, redirect_stderr=False)
        with suppress(OSError):  # a terminal that is gone
            live.start()
            self.console.show_cursor()
        due, text, going = 0.0, b"", True
        while going:
            ready = select.select([self.words, self.ended], [], [], max(0.0, due - time.monotonic()))[0]
            going = self.ended not in ready
            text += self._read(all_of_it=not going)
            lines, _, text = text.rpartition(b"\n") if going else (text.removesuffix(b"\n"), b"", b"")
            with suppress(OSError):
                if lines:
                    self.console.print(Text.from_ansi(lines.decode(errors="replace")), soft_wrap=True, highlight=False)
                if time.monotonic() >= due or not going:
                    due = time.monotonic() + self.pause
                    due += 0 if self._draw(live, going) else FOREVER
        with suppress(OSError):
            live.stop()

    def _read(self, all_of_it: bool) -> bytes:
        """What has been written since the last look, or a part of it."""
        text = b""
        while select.select([self.words], [], [], 0)[0] and (part := os.read(self.words, 2**16)):
            text += part
            if not all_of_it:
                break
        return text

    def _draw(self, live: Live, going: bool) -> bool:
        """Draw; False after a mistake in what is drawn, which is told, and stops neither the run nor its words."""
        self.console.size = ConsoleDimensions(*os.get_terminal_size(self.terminal))
        try:
            now = self.look()
            live.update(drawn(now) if going else Text(now.heading), refresh=True)
        except OSError:
            raise
        except Exception:
            self.console.print_exception()
            return False
        return True
