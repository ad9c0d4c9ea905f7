"""A study through `snakemake --profile slurm` on a real SLURM."""

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

from checkouts import copy_checkout, digests, planned
from cluster.runs import HEAD, LOCAL, PROFILE, SECONDS, STUDY, end, rules
from cluster.virtual import VirtualCluster
from terminals import Terminal


def test_the_study_comes_out_the_same(slurm: VirtualCluster, tmp_path: Path) -> None:
    """Files of a cluster that differ from those of one machine could not be extended on the other."""
    earlier = slurm.jobs()  # of other tests
    here, there = (copy_checkout(tmp_path / place / "a checkout", STUDY) for place in ("here", "there"))
    # At one time: of either, much is one process after the other.
    heads = here.start(), there.start(*PROFILE, program=HEAD)
    try:
        expected, _ = map(end, heads)
    finally:
        for head in heads:
            head.kill()
    assert digests(there.results) == digests(here.results)
    assert not list(there.results.rglob(".*.tmp"))
    assert there.jobs() == {}
    made = [job for job in slurm.jobs() if job not in earlier]
    jobs = Counter(comment for _, _, comment in made)
    assert set(jobs.values()) == {1} and {state for _, state, _ in made} == {"COMPLETED"}
    assert rules(jobs) == {rule: count for rule, count in planned(expected).items() if rule not in LOCAL}
    details = slurm.ask("scontrol", "show", "job", made[0][0])
    for setting in ("Partition=a100 ", "TimeLimit=00:15:00 ", "MinMemoryNode=2000M "):
        assert setting in details


def test_jobs_done_again(slurm: VirtualCluster, tmp_path: Path) -> None:
    """What an audit does again goes where its like was done, in a folder that the nodes see too."""
    study, sample = copy_checkout(tmp_path / "a checkout", STUDY), "samples/pythia/code-0000.parquet"
    run = study.snakemake(f"results/tiny/{sample}")
    assert run.returncode == 0, run.stdout
    earlier, before = slurm.jobs(), digests(study.results)
    command = [".venv/bin/python", "-m", "recite", "audit", sample, "--again", "1", "--json", "--configfile", STUDY]
    environment = os.environ | {"SNAKEMAKE_PROFILE": "slurm", "PYTHONPATH": str(study.root / "workflow")}
    audit = subprocess.run(command, cwd=study.root, env=environment, text=True, capture_output=True, timeout=SECONDS)
    assert audit.returncode == 0, audit.stdout + audit.stderr
    (job,) = json.loads(audit.stdout)["again"]["jobs"]
    (made,) = [job for job in slurm.jobs() if job not in earlier]
    assert job["outcome"] == "same" and made[1] == "COMPLETED" and made[2].startswith(f"rule_{job['rule']}")
    assert digests(study.results) == before


def test_a_terminal(slurm: VirtualCluster, tmp_path: Path) -> None:
    """What runs on the nodes is told by the head's terminal and from anywhere else."""
    study, target = copy_checkout(tmp_path / "a checkout", STUDY), "results/tiny/tokenizers/pythia/rows.parquet"
    command = [".venv/bin/python", *HEAD, *PROFILE, f"--configfile={STUDY}", "--", target]
    shown = Terminal(command, study.root, os.environ)
    try:
        shown.until(lambda: "1 job runs\n" in shown.text and "corpus: no line of progress yet" in shown.text)
        asked = [".venv/bin/python", "-m", "recite", "status", "--configfile", STUDY]
        environment = os.environ | {"PYTHONPATH": str(study.root / "workflow")}
        told = subprocess.run(asked, cwd=study.root, env=environment, text=True, capture_output=True)
        assert shown.finish() == 0 and shown.as_found, shown.text
    finally:
        shown.close()
    # By the time that it is asked the job, of a few seconds, may have ended.
    assert re.match(r"results/tiny: [01] of 2 jobs done, about .* left; (1|no) job runs\n", told.stdout), told.stdout
    assert "results/tiny: 2 of 2 jobs done in " in shown.text and "has been submitted" not in shown.text
