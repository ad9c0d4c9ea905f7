"""Logs of jobs: held by the job that writes one, so that anybody can see that it runs, on whatever machine."""

import fcntl
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

RECENT = 300.0
"""Seconds since its last word for which a job is taken to run where the file system knows no locks."""


def hold(log: IO[str]) -> None:
    """Hold an open log until this process and all that share the file have ended, however they end.

    The lock is one that others can hold too: the job of a killed run may still write to the same log.
    """
    with suppress(OSError):
        fcntl.flock(log, fcntl.LOCK_SH)


def is_held(path: Path) -> bool:
    """Whether a job that writes this log runs."""
    try:
        with path.open("r+b") as log:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError:  # another user's log, or no locks
        return time.time() - path.stat().st_mtime < RECENT
    return False
