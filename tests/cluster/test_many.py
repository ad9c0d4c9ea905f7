"""Many small jobs: none is lost, none runs twice, and the head process stays small."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from checkouts import REPOSITORY
from cluster.runs import PROFILE
from cluster.virtual import VirtualCluster

pytestmark = pytest.mark.faults

JOBS = int(os.environ.get("RECITE_JOBS", "48"))
"""64 are in SLURM's hands at once; one runs on each node, by its memory, as each takes seconds of a core to start."""
SNAKEFILE = f"""
sys.path.insert(0, "{REPOSITORY}/workflow")
from recite.slurm_executor import mend
mend()


rule all:
    input:
        expand("made/{{number}}", number=range({JOBS})),


rule tiny:
    output:
        "made/{{number}}",
    resources:
        gpu=1,
        runtime=20,
        mem_mb=400_000,
    shell:
        "echo $SLURM_JOB_ID >> {{output}}.runs; echo {{wildcards.number}} > {{output}}"
"""
GIGABYTE = 10**9


def test_many_jobs(slurm: VirtualCluster, tmp_path: Path) -> None:
    """A job that is lost among thousands, or runs twice, would not be seen."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    earlier = slurm.jobs()
    command = [sys.executable, "-m", "snakemake", *PROFILE, "--snakefile", str(tmp_path / "Snakefile")]
    log = tmp_path / "log.txt"
    with log.open("w") as output:
        head = subprocess.Popen([*command, "--directory", str(tmp_path)], cwd=REPOSITORY, stdout=output, stderr=output)
        _, status, usage = os.wait4(head.pid, 0)
        head.returncode = os.waitstatus_to_exitcode(status)
    assert head.returncode == 0, log.read_text()
    runs = [(tmp_path / f"made/{number}.runs").read_text().split() for number in range(JOBS)]
    assert [len(ids) for ids in runs] == [1] * JOBS
    assert [(tmp_path / f"made/{number}").read_text() for number in range(JOBS)] == [f"{n}\n" for n in range(JOBS)]
    made = [job for job in slurm.jobs() if job not in earlier]
    assert {number for number, _, _ in made} == {ids[0] for ids in runs}
    assert Counter(state for _, state, _ in made) == {"COMPLETED": JOBS}
    assert usage.ru_maxrss * 1024 < GIGABYTE
