"""The command `recite`: what it prints, what it refuses, and that it starts without torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from recite.cli import app

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "numpy", "pyarrow", "snakemake")


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def recite(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, text=True, capture_output=True)


def test_the_module_is_the_command() -> None:
    """Piped, the tables are plain text of whatever width they need."""
    run = run_python("-m", "recite", "plan", "--simulate")
    assert run.returncode == 0 and run.stderr == ""
    assert run.stdout == recite("plan", "--simulate").stdout
    assert "\x1b" not in run.stdout


def test_no_heavy_import() -> None:
    """A plan is made where nothing is installed but what reads configs, and at once."""
    code = f"import sys, recite.cli; print([name for name in {HEAVY} if name in sys.modules])"
    assert run_python("-c", code).stdout.strip() == "[]"


def test_the_tables() -> None:
    found = recite("plan", "--configfile", "config/paper.yaml", "--simulate").stdout
    assert found.startswith("Study paper: ")
    for heading in ("Stages", "Models", "Disk, GB", "Simulation"):
        assert f"\n\n{heading}" in found
    for word in ("olmo3-32b", "candidates", "ablation", "Shortest GPU jobs", "Longest GPU jobs", "Makespan"):
        assert word in found
    assert "Dominated by GPU work" in found
    assert recite("plan", "--configfile", "config/paper.yaml", "--simulate").stdout == found
    assert "Makespan" not in recite("plan", "--configfile", "config/paper.yaml").stdout


def test_json() -> None:
    """Programs get every job and every assumption."""
    made = json.loads(recite("plan", "--configfile", "config/paper.yaml", "--json", "--simulate", "--gpus", "4").stdout)
    assert made["study"] == "paper" and made["machine"]["gpus"] == 4
    assert {"name", "stage", "subject", "gpus", "seconds", "after", "written", "peak"} <= made["jobs"][0].keys()
    assert len(made["jobs"]) == len(made["simulation"]["runs"])
    assert made["models"]["olmo2-32b"]["gpus"] == 1
    assert made["constants"]["START_SECONDS"] > made["constants"]["SUBMISSION_SECONDS"]
    assert made["constants"]["MEMORIZED"] < 1
    assert made["simulation"]["makespan"] >= max(made["simulation"]["bounds"].values())
    assert "simulation" not in json.loads(recite("plan", "--json").stdout)


def test_half_the_efficiency_is_longer() -> None:
    def makespan(efficiency: str) -> float:
        run = recite("plan", "--configfile", "config/paper.yaml", "--json", "--simulate", "--efficiency", efficiency)
        return float(json.loads(run.stdout)["simulation"]["makespan"])

    assert makespan("0.3") > 1.5 * makespan("0.6")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--configfile", "config/nowhere.yaml"), "config/nowhere.yaml does not exist"),
        (("--configfile", "config/corpora.yaml"), "config/corpora.yaml: unknown key 'mini'"),
        (("--configfile", "config"), "Is a directory: 'config'"),
        (("--servers", "0"), "--servers is 0; it must be at least 1"),
        (("--efficiency", "40"), "--efficiency is 40.0; it is a share"),
        (("--tflops", "-1"), "--tflops is -1.0"),
        (("--configfile", "config/paper.yaml", "--gpu-memory", "10"), "not even 8 rows fit"),
        (("--configfile", "config/paper.yaml", "--gpus", "0", "--simulate"), "raise --gpus or --cores"),
    ],
)
def test_mistakes_are_one_sentence(options: tuple[str, ...], sentence: str) -> None:
    run = recite("plan", *options)
    assert run.exit_code == 1 and run.stdout == ""
    assert run.stderr.startswith("recite: ") and sentence in run.stderr
    assert run.stderr.count("\n") == 1


def test_mistyped_options() -> None:
    assert recite("plan", "--gpu", "many").exit_code == 2
    assert recite("plan", "--servers", "many").exit_code == 2
    assert recite("plane").exit_code == 2
