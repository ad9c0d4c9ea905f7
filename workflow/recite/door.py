"""The way from a Snakemake job into the library: log, exit status, one clear sentence."""

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recite.errors import ReciteError

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def door(job: Any) -> Iterator[None]:
    """Run the block of a script as the Snakemake job `job` (the script's `snakemake` object).

    Everything printed goes to the job's log. A ReciteError or a full disk becomes one sentence,
    on the terminal and in the log, and exit status 1; anything else a traceback in the log.
    """
    terminal = os.dup(2)
    with Path(job.log[0]).open("w", buffering=1) as log:
        sys.stdout.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        except ReciteError as error:
            _fail(terminal, str(error))
        except OSError as error:
            if error.errno not in FULL_DISK:
                raise
            traceback.print_exc()
            place = error.filename or job.output[0]
            _fail(terminal, f"the disk is full: writing {place} failed; free some space, then run again.")


def _fail(terminal: int, sentence: str) -> None:
    message = f"recite: {sentence}\n"
    sys.stderr.write(message)
    os.write(terminal, message.encode())
    raise SystemExit(1)
