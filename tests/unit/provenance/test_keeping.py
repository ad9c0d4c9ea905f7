"""recite.provenance.keeping: what stands of a job comes back whole, with the right bytes, or not at all."""

import os
import time
from pathlib import Path

import pytest

from recite.files import sha256_file
from recite.provenance.keeping import FOLDER, discard, drop, set_aside, take_back

STUDY = Path("results/tiny")
NAMES = ("scores/a.parquet", "scores/b.parquet")


@pytest.fixture
def digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two outputs that stand and are set aside, then removed as Snakemake removes them; their digests."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        (STUDY / name).parent.mkdir(parents=True, exist_ok=True)
        (STUDY / name).write_text(name)
    digests = {name: sha256_file(STUDY / name) for name in NAMES}
    set_aside(STUDY, [*map(str, map(STUDY.joinpath, NAMES)), "results/tiny/scores/never-made.parquet"])
    for name in NAMES:
        (STUDY / name).unlink()
    return digests


def test_they_come_back(digests: dict[str, str]) -> None:
    """Prevents a computation whose result is known, and one more plan of it: its inputs were made just now."""
    for name in NAMES:
        os.utime(STUDY / FOLDER / name, (0, 0))
    start = time.time()
    assert take_back(STUDY, digests)
    assert all((STUDY / name).stat().st_mtime > start - 1 for name in NAMES)
    assert {name: sha256_file(STUDY / name) for name in NAMES} == digests
    assert not [path for path in (STUDY / FOLDER).rglob("*") if path.is_file()]


def test_all_or_none(digests: dict[str, str]) -> None:
    """Prevents old and new outputs of one job side by side."""
    (STUDY / FOLDER / NAMES[1]).unlink()
    assert not take_back(STUDY, digests)
    assert not any((STUDY / name).exists() for name in NAMES)


def test_bytes_that_were_changed_do_not_come_back(digests: dict[str, str]) -> None:
    """Prevents a file that somebody edited from being taken for the job's own."""
    (STUDY / FOLDER / NAMES[0]).write_text("edited")
    assert not take_back(STUDY, digests)


def test_a_file_that_was_gone_before_the_run_is_not_there(digests: dict[str, str]) -> None:
    """Prevents what somebody deleted, to have it made again, from coming back."""
    set_aside(STUDY, map(str, map(STUDY.joinpath, NAMES)))
    assert not take_back(STUDY, digests)


def test_a_job_that_computes_frees_the_disk(digests: dict[str, str]) -> None:
    """Prevents a run that makes all scores anew from needing room for two of each."""
    discard(STUDY, [*NAMES, "scores/never-made.parquet"])
    assert not take_back(STUDY, digests)
    drop(STUDY)
    assert not (STUDY / FOLDER).exists()


def test_without_hard_links_nothing_is_kept(digests: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a file system that has none from failing the run."""

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    (STUDY / NAMES[0]).write_text(NAMES[0])
    monkeypatch.setattr(os, "link", refuse)
    set_aside(STUDY, [str(STUDY / NAMES[0])])
    assert not take_back(STUDY, {NAMES[0]: digests[NAMES[0]]})
