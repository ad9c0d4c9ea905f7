"""What a large study costs the machine that hands it to SLURM: a dry run through the profile, seconds and peak memory.

`make bench-cluster`: of the paper's study, and of the same with fewer models whose heads are ablated, some 5,000 jobs.
Nothing is submitted, so no SLURM is needed; the plugin is loaded all the same.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import yaml

from recite.catalogue import STAGES
from recite.study.study import load_study

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "config/paper.yaml"
MANY = ("starcoderbase-7b", "starcoderbase-15.5b", "olmo2-32b", "olmo3-32b")
"""Models that have most of the jobs of head ablation."""


class Cost(NamedTuple):
    """Jobs of a dry run, its seconds by the clock and of the processor, and its largest memory in MB."""

    jobs: int
    wall: float
    cpu: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for configfile in (PAPER, smaller(Path(folder))):
            costs = [dry_run(configfile) for _ in range(options.rounds)]
            print(f"{costs[0].jobs:,} jobs, {options.rounds} dry runs, {os.cpu_count()} cores")
            for name, unit in (("wall", "s"), ("cpu", "s"), ("megabytes", "MB")):
                found = [getattr(cost, name) for cost in costs]
                print(f"{name}: {median(found):,.1f} {unit} ({min(found):,.1f} to {max(found):,.1f})", flush=True)


def smaller(folder: Path) -> Path:
    """The config of the paper's study without the heads of MANY."""
    config = yaml.safe_load(PAPER.read_text())
    os.chdir(ROOT)
    study = load_study(yaml.safe_load(PAPER.read_text()), str(PAPER), STAGES)
    config["ablation"]["models"] = [model for model in study.models_of("ablation") if model not in MANY]
    path = folder / "smaller.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def dry_run(configfile: Path) -> Cost:
    """What one dry run through the profile costs, the commands that it starts left out."""
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--configfile", str(configfile)]
    start = time.monotonic()
    with subprocess.Popen([*command, "--dry-run", "--quiet", "rules"], cwd=ROOT, stdout=subprocess.PIPE) as head:
        output = head.stdout.read().decode()  # type: ignore[union-attr]
        _, status, usage = os.wait4(head.pid, 0)
        head.returncode = os.waitstatus_to_exitcode(status)
    if head.returncode:
        sys.exit(output)
    jobs = re.search(r"^total +(\d+)$", output, re.MULTILINE)
    seconds = time.monotonic() - start
    return Cost(int(jobs[1]) if jobs else 0, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


if __name__ == "__main__":
    main()
