"""recite.doctor.slurm: every fault of SLURM that is planted is found, with what to do about it."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recite.doctor.profiles import Profile
from recite.doctor.slurm import count_gpus, examine_slurm, read_nodes
from studies import NOTES, loaded, own_study

PROFILE = Profile("slurm", {"": ("a100",)}, "squeue", "recite")
NODES = "a100*|up|idle|gpu:a100:8(S:0-1)\na100*|up|down*|gpu:a100:8\ncpu|up|mixed|(null)\n"
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


def asking(**partitions: tuple[str | None, ...]) -> Profile:
    """A profile of which rules ask for partitions; `default` stands for all others."""
    return PROFILE._replace(
        partitions={"" if rule == "default" else rule: values for rule, values in partitions.items()}
    )


def found(root: Path, monkeypatch: pytest.MonkeyPatch, profile: Profile = PROFILE, **entry: Any) -> str:
    """All findings for a study of one model of one's own."""
    monkeypatch.chdir(Path(__file__).resolve().parents[3])
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
    other = asking(default=("h100",))
    assert "no partition 'h100' -> set slurm_partition to one of: a100, cpu" in found(tmp_path, monkeypatch, other)
    plant(sinfo="a100|up|down*|gpu:a100:8\na100|up|drained|gpu:a100:8\n")
    assert "no node of partition a100 takes jobs: down*, drained -> " in found(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("a100,cpu", ""),
        ("a100, cpu", ""),
        ("a100,h100", "SLURM has no partition 'h100'"),
        (
            "h100,b200",
            "SLURM has no partition 'b200' -> set slurm_partition to one of: a100, cpu, gone, old\nSLURM has no",
        ),
        ("old", "no node of partition old takes jobs: drained"),
        ("old,a100", ""),
        ("old, gone", "no node of partition gone,old takes jobs: down, drained"),
        (None, ""),
        ("A100", "SLURM has no partition 'A100'"),
    ],
)
def test_partitions(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, words: str
) -> None:
    """Of several any will do, but each must be there: sbatch refuses a list with one that is not."""
    plant(sinfo=NODES + "old|up|drained|gpu:a100:8\ngone|up|down|(null)\n")
    said = found(tmp_path, monkeypatch, asking(default=(asked,)))
    assert said.startswith(words) if words else said == ""


def test_gpus_of_several_partitions(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has them is enough, and SLURM takes that one."""
    plant(sinfo=NODES + "thin|up|idle|gpu:a100:2\n")
    assert found(tmp_path, monkeypatch, asking(default=("thin,a100",)), gpus=8) == ""
    said = found(tmp_path, monkeypatch, asking(default=("thin,cpu",)), gpus=8)
    assert said.startswith("model mine asks for 8 GPUs of one node, and no node of cpu,thin that takes jobs has them")


def test_the_default_partition(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name jobs go to it and to no other."""
    plant(sinfo="a100|up|idle|gpu:a100:8\ncpu*|up|idle|(null)\nold|up|down|(null)\n")
    unnamed = asking(default=(None,))
    assert "and no node of cpu that takes jobs has them" in found(tmp_path, monkeypatch, unnamed, gpus=1)
    plant(sinfo="a100|up|idle|gpu:a100:8\ncpu*|up|down|(null)\n")
    assert "no node of partition cpu takes jobs: down" in found(tmp_path, monkeypatch, unnamed)
    plant(sinfo="a100|up|idle|gpu:a100:8\n")
    assert "names no partition, and SLURM has no default one -> set slurm_partition to one of: a100" in found(
        tmp_path, monkeypatch, unnamed
    )


def test_partitions_of_rules_and_of_later_attempts(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for profile in (asking(default=("a100",), scoring=("h100",)), asking(default=("a100", "h100"))):
        assert found(tmp_path, monkeypatch, profile).startswith("SLURM has no partition 'h100'")
    small = asking(default=("a100",), aggregation=("cpu",))
    assert found(tmp_path, monkeypatch, small) == ""


FACTS = {"parameters": 2000, "layers": 2, "width": 8, "heads": 2, "shared_heads": 2, "feed_forward": 32}


def test_gpus_where_the_rules_that_run_models_go(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other rules do not matter, once a plan says which rules they are."""
    monkeypatch.setitem(NOTES["files"], "gigabytes", 0.001)
    facts = FACTS | {"vocabulary": 50}
    assert found(tmp_path, monkeypatch, asking(default=("a100",), aggregation=("cpu",)), **facts) == ""
    said = found(tmp_path, monkeypatch, asking(default=("a100",), scoring=("cpu",)), **facts)
    assert said.startswith("model mine asks for 1 GPUs of one node, and no node of cpu that takes jobs")
    assert said.count("\n") == 0


BUSY = (
    *("idle", "mixed", "allocated", "allocated+", "completing", "planned", "reserved", "perfctrs", "blocked"),
    *(
        "idle~",
        "idle#",
        "mixed%",
        "allocated!",
        "idle$",
        "mixed-",
        "idle@",
        "allocated^",
        "powered_down",
        "powering_up",
    ),
    *("powering_down", "mixed+planned", "idle+cloud+powered_down", "IDLE+CLOUD", "idle+reserved", "mixed+completing"),
)
AWAY = (
    *("down", "down*", "down~", "down$", "drained", "drained*", "draining", "draining@", "fail", "failing", "future"),
    *("error", "inval", "maint", "unknown", "unknown*", "idle*", "mixed*", "allocated*", "idle+drain", "MIXED+DRAIN"),
    *("allocated+drain+reboot_requested", "down+cloud+powered_down", "idle+not_responding", "idle+maint"),
)


@pytest.mark.parametrize("state", [*BUSY, *AWAY])
def test_states_of_nodes(state: str) -> None:
    """Of those that take jobs, each does so sooner or later by itself."""
    assert [node.takes_jobs for node in read_nodes(f"a100*|up|{state}|gpu:8\n")] == [state in BUSY]


def test_all_nodes_of_a_busy_cluster_are_planned(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(sinfo="a100*|up|planned|gpu:a100:8\n" * 3)
    assert found(tmp_path, monkeypatch, gpus=8) == ""
    plant(sinfo="a100*|up|maint|gpu:a100:8\na100*|up|idle*|gpu:a100:8\n")
    assert found(tmp_path, monkeypatch).startswith(
        "no node of partition a100 takes jobs: idle*, maint -> ask why: sinfo"
    )


@pytest.mark.parametrize("state", ["drain", "inact", "down"])
def test_partitions_that_are_closed(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    plant(sinfo=f"a100|{state}|idle|gpu:a100:8\n")
    assert f"no node of partition a100 takes jobs: partition {state}" in found(tmp_path, monkeypatch)


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
    by_accounting = found(tmp_path, monkeypatch, PROFILE._replace(status_command="sacct"))
    assert by_accounting.startswith("sacct does not answer") and "slurm-status-command: squeue" in by_accounting


def test_jobs_without_a_head(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those of this folder and of Recite are named."""
    here = Path(__file__).resolve().parents[3]
    plant(squeue=f"7|recite_ab|{here}\n8|recite_ab|/elsewhere\n9|other|{here}\n")
    assert "1 jobs of an earlier run" in found(tmp_path, monkeypatch)
    assert "scancel 7)" in found(tmp_path, monkeypatch)
    plant(squeue=1)
    assert "squeue does not answer" in found(tmp_path, monkeypatch)


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
