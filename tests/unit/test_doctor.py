"""recite.doctor: every fault that is planted in a folder is found, with its remedy, and nothing in a healthy one."""

import json
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections import namedtuple
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from recite import doctor
from recite.cli import app
from recite.doctor import examine, locks, made_files, record_path, running_heads
from recite.files import sha256_file
from recite.study import Study
from studies import NOTES, loaded, own_study, shipped

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study of one model of one's own in a healthy folder: weights, corpus, one result and its record are there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    facts = {"layers": 2, "width": 8, "heads": 2, "shared_heads": 2, "feed_forward": 32, "vocabulary": 50}
    registry = {"mine": {"corpus": "notes", "gpus": 0, "parameters": 2000, **facts}}
    files = NOTES["files"] | {"gigabytes": 0.001}
    config = own_study(tmp_path, registry, {"notes": NOTES | {"files": files}})
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    for path in (
        "data/models/mine/model.safetensors",
        "data/corpora/notes/2024/a.jsonl",
        "results/mine/tables/rates.parquet",
    ):
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text("content")
    record("results/mine/tables/rates.parquet")
    for path in ("results/mine/logs/a.log", "results/mine/records/a.json", "results/mine/report.html"):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).touch()
    return loaded(config)


def record(file: str) -> None:
    """What Snakemake leaves of a file that it has made."""
    record_path(file).parent.mkdir(parents=True, exist_ok=True)
    record_path(file).touch()


def found(study: Study, full: bool = False) -> str:
    return "\n".join(f"{finding.what} -> {finding.remedy}" for finding in examine(study, full))


def test_a_healthy_folder(study: Study) -> None:
    assert found(study) == ""
    assert made_files(study) == ["results/mine/tables/rates.parquet"]


def test_stale_lock(study: Study) -> None:
    Path(".snakemake/locks").mkdir(parents=True)
    assert found(study) == ""
    Path(".snakemake/locks/0.input.lock").touch()
    assert "a stale lock" in found(study) and "snakemake --unlock" in found(study)
    assert [finding.what for finding in locks([7])] == ["Snakemake runs here already (process 7)"]


def test_a_running_head_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock is not stale; one that runs elsewhere, a job and a dry run are no heads of this folder."""
    monkeypatch.chdir(tmp_path)
    Path("snakemake").write_text("import time\ntime.sleep(60)\n")
    head = subprocess.Popen([sys.executable, str(tmp_path / "snakemake")])
    others = [["--mode", "remote"], ["-n"], ["--dry-run"]]
    rest = [subprocess.Popen([sys.executable, str(tmp_path / "snakemake"), *words]) for words in others]
    try:
        end = time.monotonic() + 20
        while running_heads() != [head.pid] and time.monotonic() < end:
            time.sleep(0.1)
        assert running_heads() == [head.pid]
        monkeypatch.chdir("/")
        assert head.pid not in running_heads()
    finally:
        for process in (head, *rest):
            process.kill()
            process.wait()


def test_missing_records(study: Study) -> None:
    """Without its record a result of old code or options looks as new as any."""
    record_path("results/mine/tables/rates.parquet").unlink()
    assert "1 results have no record of what they were made with: results/mine/tables/rates.parquet" in found(study)
    assert "snakemake --touch" in found(study)


def test_records_of_long_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake cuts names that are too long for a file system into folders."""
    monkeypatch.chdir(tmp_path)
    short, long = "results/a", "results/" + "a" * 300
    assert record_path(short) == Path(".snakemake/metadata", urlsafe_b64encode(short.encode()).decode())
    pieces = record_path(long).parts[2:]
    assert len(pieces) == 2 and pieces[0].startswith("@")
    assert pieces[0][1:] + pieces[1] == urlsafe_b64encode(long.encode()).decode()


def test_leftovers(study: Study) -> None:
    Path("results/mine/tables/.rates.parquet.7.tmp").touch()
    assert "1 temporary files of jobs that were killed" in found(study)


def test_full_disk(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor, "disk_usage", lambda path: usage(10, 9, 1))
    assert "GB more, and the disk has 0.0 GB" in found(study)


def test_weights(study: Study) -> None:
    """Missing, or no longer those that the record names; other bytes of the same number are found in full only."""
    weights, record_file = Path("data/models/mine/model.safetensors"), Path("results/mine/checkpoints/mine.json")
    record_file.parent.mkdir()
    files = {"model.safetensors": {"bytes": weights.stat().st_size, "sha256": sha256_file(weights)}}
    record_file.write_text(json.dumps({"files": files}))
    record(str(record_file))
    assert found(study, full=True) == ""
    weights.write_text("CONTENT")
    assert found(study) == "" and "is not the file that was registered" in found(study, full=True)
    weights.write_text("more content")
    assert "is not the file that was registered" in found(study)
    weights.unlink()
    assert "model mine: no weights at data/models/mine" in found(study)


def test_corpora(study: Study) -> None:
    file, inventory = Path("data/corpora/notes/2024/a.jsonl"), Path("results/mine/inventories/notes.json")
    inventory.parent.mkdir()
    inventory.write_text(json.dumps({"groups": [{"2024/a.jsonl": file.stat().st_size}]}))
    record(str(inventory))
    assert found(study) == ""
    file.write_text("more content")
    assert "corpus notes: 1 of its files are not as they were listed, such as data/corpora/notes/2024/a.jsonl" in found(
        study
    )
    file.unlink()
    assert "corpus notes: no file of data/corpora/notes matches '*.jsonl'" in found(study)


def test_a_study_that_is_made_here_needs_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    assert found(loaded(shipped("mini"))) == ""


def test_the_command(study: Study) -> None:
    """Exit code 0 where nothing is found, 1 and remedies where something is, 1 and a sentence for a wrong config."""
    arguments = ["doctor", "--configfile", "study.yaml", "--profile"]
    healthy = CliRunner().invoke(app, [*arguments, "none"])
    assert (healthy.exit_code, healthy.stdout) == (0, "Study mine: nothing found\n")
    ill = CliRunner().invoke(app, [*arguments, "nowhere"])
    assert ill.exit_code == 1
    assert "- Snakemake cannot read profile nowhere: profile directory given (nowhere), but no" in ill.stdout
    assert "\n  remedy: correct it, or name another one" in ill.stdout and "1 findings" in ill.stdout
    wrong = CliRunner().invoke(app, ["doctor", "--configfile", "nowhere.yaml"])
    assert wrong.exit_code == 1 and "nowhere.yaml" in wrong.output
