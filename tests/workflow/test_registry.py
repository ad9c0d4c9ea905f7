"""Studies of the registry beside the paper's: their dry runs and plans, and what is not pinned is not fetched."""

import os
import subprocess

import pytest
import yaml
from conftest import Checkout


@pytest.mark.parametrize("name", ["hubble", "open", "closed"])
def test_dry_run_and_plan(fresh: Checkout, name: str) -> None:
    """What config/ ships must be a study before anybody has its files."""
    config = yaml.safe_load((fresh.root / f"config/{name}.yaml").read_text())
    run = fresh.snakemake("--dry-run", configfile=f"config/{name}.yaml")
    assert run.returncode == 0, run.stdout
    assert "scoring" in run.stdout and "candidates" in run.stdout
    environment = os.environ | {"PYTHONPATH": str(fresh.root / "workflow")}
    command = [".venv/bin/python", "-m", "recite", "plan", "--configfile", f"config/{name}.yaml"]
    plan = subprocess.run(command, cwd=fresh.root, env=environment, text=True, capture_output=True)
    assert plan.returncode == 0, plan.stdout + plan.stderr
    assert all(f"\n{model} " in plan.stdout for model in config["models"])


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (
            "tokenizers/hubble/tokenizer.json",
            "the tokenizer of model hubble-1b-100b-standard is not at data/models/hubble-1b-100b-standard",
        ),
        ("inventories/hubble.json", "corpus hubble is not at data/corpora/hubble"),
    ],
)
def test_what_is_not_pinned_is_not_fetched(fresh: Checkout, target: str, sentence: str) -> None:
    """An entry without a commit must not fetch whatever lies on the hub today."""
    config = yaml.safe_load((fresh.root / "config/hubble.yaml").read_text()) | {"fetch": True}
    (fresh.root / "fetching.yaml").write_text(yaml.safe_dump(config))
    run = fresh.snakemake(f"results/hubble/{target}", configfile="fetching.yaml")
    assert run.returncode == 1
    found = next(line for line in run.stdout.splitlines() if f"recite: {sentence}" in line)
    assert "cannot be fetched: its entry does not pin `hub` and `revision`" in found
    assert "Traceback" not in run.stdout
