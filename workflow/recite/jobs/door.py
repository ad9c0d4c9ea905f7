"""The way from a Snakemake job into the library: its function, log, record, exit status, one clear sentence."""

import errno
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from recite.errors import ReciteError
from recite.files import RULE
from recite.jobs.logs import hold
from recite.provenance.fingerprint import SOURCE_ROOT
from recite.provenance.records import Unneeded, recorded

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
FULL_DISK_WORDS = ("No space left on device", "Disk quota exceeded", "code: 28")
"""How libraries written in Rust or C++ say it, without an errno."""


def work(job: Any) -> None:
    """Do the Snakemake job `job` (the script's `snakemake` object): call the function that its param `run` names.

    The function is given what its parameters are called: options; inputs, outputs, wildcards by name, files as paths,
    wildcards as numbers where it wants such; where it asks for `outputs`, all of these in one, but lists; code, its
    fingerprint; threads; memory, the job's limit in bytes; fetch, whether it may download. What may be None, and the
    job has not, is None. Inputs and outputs that it does not ask for need only be there.
    """
    module, _, name = job.params.run.partition(":")
    with door(job):
        function = getattr(importlib.import_module(module), name)
        function(**arguments(function, job))


def arguments(function: Callable[..., None], job: Any) -> dict[str, Any]:
    """What `function` is called with; TypeError where a name stands for two things."""
    wanted = inspect.signature(function).parameters
    sources = (
        {
            "options": json.loads(job.params.options),
            "outputs": {name: Path(path) for name, path in job.output.items() if isinstance(path, str)},
            "code": job.params.code,
            "threads": job.threads,
            "memory": job.resources.get("mem_mb", 0) * 10**6,
            "fetch": job.config["fetch"],
        },
        {name: _paths(files) for name, files in job.input.items()},
        {} if "outputs" in wanted else {name: _paths(files) for name, files in job.output.items()},
        {name: wanted[name].annotation(value) for name, value in job.wildcards.items() if name in wanted},
    )
    given: dict[str, Any] = {}
    for source in sources:
        for name in source.keys() & wanted.keys():
            if name in given:
                raise TypeError(f"{job.params.run}: {name} is an input, an output or a wildcard; rename one.")
            given[name] = source[name]
    missing = [name for name, parameter in wanted.items() if name not in given and parameter.default is parameter.empty]
    return given | {name: None for name in missing if NoneType in get_args(wanted[name].annotation)}


def _paths(files: Any) -> Path | list[Path]:
    return Path(files) if isinstance(files, str) else [Path(path) for path in files]


@contextmanager
def door(job: Any) -> Iterator[None]:
    """Run the block as the Snakemake job `job`.

    Everything printed goes to the job's log, and what was done into its record (`recite.provenance.records`). A
    ReciteError or a full disk becomes one sentence, on the terminal and in the log, and exit status 1; anything else a
    traceback in the log. A block that need not run again is left out: the process ends here, with exit status 0.
    """
    terminal = os.dup(2)
    os.environ[RULE] = job.rule
    try:
        with Path(job.log[0]).open("w+", buffering=1) as log:
            hold(log)
            sys.stdout.flush()
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            with recorded(job, SOURCE_ROOT.parent):
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
