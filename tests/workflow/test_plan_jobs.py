"""The plan's jobs are those that Snakemake would run."""

import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import REPOSITORY, copy_checkout

from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.study.config import read_yaml
from studies import load


@pytest.mark.parametrize("name", ["mini", "paper"])
def test_plan_and_dag_have_the_same_jobs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that the plan does not know would be missing from its hours; no DAG may need the data that it reads."""
    monkeypatch.chdir(REPOSITORY)
    configfile = f"config/{name}.yaml"
    made = Planner(load(read_yaml(Path(configfile)), configfile), Machine())
    run = copy_checkout(tmp_path).snakemake("--dry-run", "--quiet", "rules", configfile=configfile)
    assert run.returncode == 0, run.stdout
    stats = run.stdout.split("Job stats:")[-1].split("total")[0]
    counts = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}
    assert Counter(job.stage for job in made.jobs) == {rule: count for rule, count in counts.items() if rule != "all"}
