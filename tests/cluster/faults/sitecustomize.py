"""Strikes a job at the worst moment, when its file is written but has no name yet; Python imports it at its start.

A file in the folder RECITE_FAULTS named after the end of the struck file's path says what happens, once: `kill` ends
all processes of the job, `memory` takes 3 GB, `hang` waits for ever, `wait` until a file `go` lies there.
"""

import os
import pathlib
import subprocess
import time

FOLDER = os.environ.get("RECITE_FAULTS")
ORIGINAL = pathlib.Path.replace


def replace(self: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """Path.replace, after the fault."""
    fault = pathlib.Path(FOLDER, "-".join(pathlib.Path(target).parts[-3:]))
    if fault.exists():
        strike(fault)
    return ORIGINAL(self, target)


def strike(fault: pathlib.Path) -> None:
    kind = fault.read_text()
    fault.rename(fault.with_name(f"struck-{fault.name}"))
    job = os.environ["SLURM_JOB_ID"]
    if kind == "kill":
        subprocess.run(["scancel", "--signal=KILL", "--full", job], check=True)
    held = b"x" * (3 * 10**9 if kind == "memory" else 0)
    while kind != "wait" or not fault.with_name("go").exists():
        time.sleep(0.2)
    del held


if FOLDER:
    pathlib.Path.replace = replace  # type: ignore[method-assign]
