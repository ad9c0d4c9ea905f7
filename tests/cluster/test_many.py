"""Many small jobs: none is lost, none runs twice, and the head process stays small."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from checkouts import REPOSITORY
from cluster.runs import HEAD, PROFILE
from cluster.virtual import VirtualCluster

pytestmark = pytest.mark.faults

JOBS = int(os.environ.get("RECITE_JOBS", "200"))
"""64 are in SLURM's hands at once, one for each GPU; 40 of these run, by their memory, and the others wait."""
SNAKEFILE = f"""
sys.path.insert(0, "{REPOSITORY}/workflow")
from recite.jobs.slurm_executor import mend
mend()
# Here it is the head that may err: Snakemake in a job would take two seconds of a core to start, twice.
sys.executable = "./job"


rule all:
    input:
        expand("made/{{number}}", number=range({JOBS})),


rule tiny:
    output:
        "made/{{number}}",
    resources:
        gpu=1,
        runtime=20,
        mem_mb=100_000,
    shell:
        "{{sys.executable}}"
"""
JOB = r"""#!/bin/sh
number=$(expr "$*" : '.* --target-jobs tiny:number=\([0-9]*\) ')
mkdir -p made
echo $SLURM_JOB_ID >> made/$number.runs
echo $number > made/$number
"""
"""What the nodes run, with the arguments of Python, for Snakemake."""
GIGABYTE = 10**9


def test_many_jobs(slurm: VirtualCluster, tmp_path: Path) -> None:
    """A job that is lost among thousands, or runs twice, would not be seen."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "job").write_text(JOB)
    (tmp_path / "job").chmod(0o755)
    earlier = slurm.jobs()
    command = [sys.executable, *HEAD, *PROFILE, "--snakefile", str(tmp_path / "Snakefile")]
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
