"""recite.slurm: every fault of a profile or of SLURM that is planted is found, with what to do about it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from recite.slurm import count_gpus, examine_profile, examine_slurm
from studies import NOTES, loaded, own_study

PROFILE = {
    "executor": "slurm",
    "default-resources": {"slurm_partition": "a100"},
    "slurm-jobname-prefix": "recite",
    "slurm-status-command": "squeue",
}
NODES = "a100|idle|gpu:a100:8(S:0-1)\na100|down*|gpu:a100:8\ncpu|mixed|(null)\n"
SETTINGS = "MessageTimeout = 10 sec\nMinJobAge               = 300 sec\n"

Plant = Callable[..., None]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """SLURM's commands, which print what is planted; a healthy cluster unless told otherwise."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def planted(**outputs: str | int) -> None:
        for name, output in ({"sinfo": NODES, "scontrol": SETTINGS, "squeue": ""} | outputs).items():
            (folder / name).unlink(missing_ok=True)
            answer = (
                f"echo 'no answer from port 6817' >&2; exit {output}"
                if isinstance(output, int)
                else f"cat '{folder}/{name}.txt'"
            )
            (folder / f"{name}.txt").write_text(str(output))
            (folder / name).write_text(f"#!/bin/sh\n{answer}\n")
            (folder / name).chmod(0o755)

    planted()
    return planted


def found(root: Path, monkeypatch: pytest.MonkeyPatch, profile: dict[str, Any] = PROFILE, **entry: Any) -> str:
    """All findings for a study of one model of one's own."""
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    registry = {"mine": {"corpus": "notes", **entry}}
    study = loaded(own_study(root, registry, {"notes": NOTES}))
    return "\n".join(f"{finding.what} -> {finding.remedy}" for finding in examine_slurm(profile, study, []))


def test_a_healthy_cluster(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(tmp_path, monkeypatch, gpus=8, gpu_model="a100") == ""


def test_slurm_away(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(sinfo=1)
    assert found(tmp_path, monkeypatch).startswith("SLURM cannot be reached: no answer from port 6817 -> log in")
    monkeypatch.setenv("PATH", "/nowhere")
    assert "sinfo is not installed here" in found(tmp_path, monkeypatch)


def test_wrong_partition_and_no_node_up(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = PROFILE | {"default-resources": {"slurm_partition": "h100"}}
    assert "no partition 'h100' -> set slurm_partition to one of: a100, cpu" in found(tmp_path, monkeypatch, other)
    plant(sinfo="a100|down*|gpu:a100:8\na100|drained|gpu:a100:8\n")
    assert "no node of partition a100 takes jobs" in found(tmp_path, monkeypatch)


@pytest.mark.parametrize(("gpus", "model"), [(9, None), (1, "h100")])
def test_gpus_that_no_node_has(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, model: str | None
) -> None:
    """SLURM would let such a job wait for ever."""
    entry = {"gpus": gpus} | ({"gpu_model": model} if model else {})
    assert "model mine asks for" in found(tmp_path, monkeypatch, **entry)


@pytest.mark.parametrize(
    ("gres", "model", "count"),
    [
        ("gpu:8", None, 8),
        ("gpu:8", "a100", 0),
        ("gpu:a100:8(S:0-1),nvme:2", "a100", 8),
        ("gpu:a100:4,gpu:h100:2", None, 6),
        ("gpu:a100:4,gpu:h100:2", "h100", 2),
        ("(null)", None, 0),
        ("mygpu:4", None, 0),
    ],
)
def test_gpus_of_a_node(gres: str, model: str | None, count: int) -> None:
    assert count_gpus(gres, model) == count


def test_ended_jobs_are_forgotten_too_soon(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(scontrol=SETTINGS.replace("300", "60"))
    assert "SLURM forgets ended jobs after 60 s" in found(tmp_path, monkeypatch)
    plant(sacct=1)
    by_accounting = found(tmp_path, monkeypatch, PROFILE | {"slurm-status-command": "sacct"})
    assert by_accounting.startswith("sacct does not answer") and "slurm-status-command: squeue" in by_accounting


def test_jobs_without_a_head(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those of this folder and of Recite are named."""
    here = Path(__file__).resolve().parents[2]
    plant(squeue=f"7|recite_ab|{here}\n8|recite_ab|/elsewhere\n9|other|{here}\n")
    assert "1 jobs of an earlier run" in found(tmp_path, monkeypatch)
    assert "scancel 7)" in found(tmp_path, monkeypatch)
    plant(squeue=1)
    assert "squeue does not answer" in found(tmp_path, monkeypatch)


def test_profiles(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    assert "no profile at" in examine_profile(path)[1][0].what
    for text, words in (
        ("a: [", "is not valid YAML"),
        ("- a", "holds no settings"),
        (json.dumps(PROFILE | {"executor": "nimbus"}), "names executor 'nimbus'"),
        (json.dumps(PROFILE | {"slurm-array-jobs": "all"}), "sets slurm-array-jobs"),
    ):
        path.write_text(text)
        findings = examine_profile(path)[1]
        assert len(findings) == 1 and words in findings[0].what and findings[0].remedy
    path.write_text(yaml.safe_dump(PROFILE))
    assert examine_profile(path) == (PROFILE, [])
    shipped = Path(__file__).resolve().parents[2] / "profiles/slurm/config.yaml"
    settings, findings = examine_profile(shipped)
    assert settings["executor"] == "slurm" and findings == []


def test_commands_are_asked_and_nothing_else(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A doctor that submits or cancels something would be no doctor."""
    asked: list[str] = []
    original = subprocess.run

    def note(command: Any, **options: Any) -> Any:
        asked.append(command[0])
        return original(command, **options)

    monkeypatch.setattr(subprocess, "run", note)
    found(tmp_path, monkeypatch)
    assert set(asked) == {"sinfo", "scontrol", "squeue"}
