"""The way from a Snakemake job into the library: log, record, exit status, one clear sentence."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from recite.errors import ReciteError
from recite.files import RULE
from recite.jobs.logs import hold
from recite.provenance.records import Unneeded, recorded

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
FULL_DISK_WORDS = ("No space left on device", "Disk quota exceeded", "code: 28")
"""How libraries written in Rust or C++ say it, without an errno."""


@contextmanager
def door(job: Any) -> Iterator[None]:
    """Run the block of a script as the Snakemake job `job` (the script's `snakemake` object).

    Everything printed goes to the job's log, and what was done into its record (`recite.provenance.records`). A ReciteError or a
    full disk becomes one sentence, on the terminal and in the log, and exit status 1; anything else a traceback in the
    log. A block that need not run again is left out: the script ends here, with exit status 0.
    """
    terminal = os.dup(2)
    os.environ[RULE] = job.rule
    try:
        with Path(job.log[0]).open("w+", buffering=1) as log:
            hold(log)
            sys.stdout.flush()
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            # Snakemake runs a copy of the script, and names the original in it.
            with recorded(job, Path(sys.modules["__main__"].__file__ or "")):
                yield
    except Unneeded:
        print("nothing to do: inputs, parameters, code and packages are those that the outputs were made with.")
        raise SystemExit(0) from None
    except ReciteError as error:
        _fail(terminal, str(error))
    except Exception as error:
        if not _is_full_disk(error):
            raise
        _fail(terminal, f"the disk is full: {job.output[0]} cannot be written; free some space, then run again.")


def _is_full_disk(error: Exception) -> bool:
    number = error.errno if isinstance(error, OSError) else None
    return number in FULL_DISK or any(words in str(error) for words in FULL_DISK_WORDS)


def _fail(terminal: int, sentence: str) -> None:
    """Say it on the terminal first: the log may be on the full disk."""
    message = f"recite: {sentence}\n"
    os.write(terminal, message.encode())
    with suppress(OSError):
        sys.stderr.write(message)
    raise SystemExit(1)
