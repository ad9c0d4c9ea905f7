"""Progress of a long job: lines that its log can hold, and that `recite status` reads there."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

INTERVAL = 30.0
"""Least seconds between two lines."""

Done = Callable[[int], object]
"""Is told how many rows more are done, or files, or whatever a job counts."""


def unseen(rows: int) -> None:
    """Tell nobody."""


class Progress:
    """Prints when it is told of rows, but not more often than every INTERVAL: time, rows done, speed, time left."""

    def __init__(self, total: int, unit: str = "rows", clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.unit, self.clock = total, unit, clock
        self.done = 0
        self.start = self.last = clock()

    def __call__(self, rows: int) -> None:
        """Count `rows` more of `total`."""
        self.done += rows
        now = self.clock()
        if now - self.last >= INTERVAL and self.done:
            self.last = now
            rate = self.done / (now - self.start)
            left = timedelta(seconds=round((self.total - self.done) / rate))
            print(line(datetime.now().astimezone(), self.done, self.total, self.unit, rate, left), flush=True)


def line(now: datetime, done: int, total: int, unit: str, rate: float, left: timedelta) -> str:
    """One line, which `recite.jobs.status` reads."""
    minutes, seconds = divmod(int(left.total_seconds()), 60)
    clock = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    speed = f"{rate:,.1f}" if rate >= 1 else f"{rate:.2g}"
    return f"{now.isoformat(timespec='seconds')} {done:,} of {total:,} {unit}, {speed} a second, {clock} left"
