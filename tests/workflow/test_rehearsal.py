"""The rehearsal of the paper's study, of one model with few rows: it runs to the end and finds what it planted."""

import os
import re
import subprocess

import pytest
from conftest import REPOSITORY, Checkout

from checkouts import copy
from recite.catalogue import STAGES
from recite.study.config import read_yaml
from recite.study.study import load_study
from rehearsal.checks import check


def test_what_is_planted_is_found(fresh: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted tables have the schemas of today, every rule behind the GPU jobs reads them, and no other truth fits."""
    copy(REPOSITORY / "tests/rehearsal", fresh.root / "tests/rehearsal")
    environment = os.environ | {"PYTHONPATH": f"{fresh.root}/workflow:{fresh.root}/tests"}
    command = [".venv/bin/python", "-m", "rehearsal", "--rows", "20", "--models", "olmo1-1b"]
    run = subprocess.run(
        command, cwd=fresh.root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert run.returncode == 0, run.stdout[-4000:]
    found = dict(re.findall(r"^(\S.*?)  +(\d+ of \d+) +found$", run.stdout, re.MULTILINE))
    assert found["rate of a domain"] == "6 of 6" and found["planted heads in the fifth that matters most"] == "13 of 13"
    results = fresh.root / "results/rehearsal"
    assert "## The paper's claims" in (results / "summary.md").read_text()
    monkeypatch.chdir(fresh.root)
    config = read_yaml(results / "rehearsal.yaml")
    assert check(load_study(config, "config/paper.yaml", STAGES), results) == 0
    assert check(load_study(config | {"seed": config["seed"] + 1}, "config/paper.yaml", STAGES), results) > 0
