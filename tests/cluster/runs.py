"""The small study on the virtual cluster."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

STUDY = "tests/cluster/study.yaml"
HEAD = ("tests/cluster/head.py",)
"""What Python runs as the head process."""
PROFILE = ("--profile", "slurm", "--max-status-checks-per-second", "1", "--max-jobs-per-timespan", "1000/1s")
"""The profile as it is, but for how often SLURM is asked and jobs are looked for."""
SECONDS = 600
"""For what takes seconds, or a minute: it must not fail on a machine that does much else."""
LOCAL = ("samples", "figures", "summary")
"""Rules whose jobs run where snakemake runs."""


def end(head: "subprocess.Popen[str]") -> str:
    """Output of a run that must succeed."""
    output, _ = head.communicate(timeout=SECONDS)
    assert head.returncode == 0, output
    return output


def until(ready: Callable[[], object], what: str, head: "subprocess.Popen[str] | None" = None) -> None:
    """Wait for something to be true, while a head runs that makes it so."""
    end = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < end, f"{what}: not within {SECONDS} s"
        assert head is None or head.poll() is None, f"{what}: not when the head ended\n{head.communicate()[0]}"
        time.sleep(0.2)


def processes_in(folder: Path) -> set[int]:
    """The processes that run in a folder."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if (process / "cwd").resolve() == folder:
                found.add(int(process.name))
    return found


def end_what_runs_in(folder: Path) -> None:
    """A lost node ends its job softly, and a job's Snakemake then waits for what it has started."""
    for process in processes_in(folder):
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)


def rules(jobs: Counter[str]) -> Counter[str]:
    """The same by rule."""
    counts: Counter[str] = Counter()
    for comment, count in jobs.items():
        counts[re.sub(r"^rule_|_wildcards_.*$", "", comment)] += count
    return counts
