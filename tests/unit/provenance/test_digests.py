"""recite.provenance.digests: each file is read once, and again whenever it may have changed."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recite.provenance import digests as module
from recite.provenance.digests import NOTES, Digest, Digests


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose bytes were read."""
    names: list[str] = []
    real = module.sha256_file

    def noting(path: Path) -> str:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(module, "sha256_file", noting)
    return names


def test_the_digest_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    assert Digests(tmp_path).of("a") == Digest(5, hashlib.sha256(b"bytes").hexdigest())
    assert Digests(tmp_path).of("b") is None
    assert Digests(tmp_path).of("a/b") is None


def test_a_file_is_read_once(tmp_path: Path, read: list[str]) -> None:
    """Prevents every job and audit from reading large files again."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a").write_bytes(b"bytes")
    first = Digests(tmp_path).of("sub/a")
    assert Digests(tmp_path).of("sub/a") == first
    assert read == ["a"]
    assert Digests(tmp_path, full=True).of("sub/a") == first
    assert read == ["a", "a"]


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(b"other")
    path.with_name("new").replace(path)


def write_in_place(path: Path) -> None:
    """The same size, and the time of modification set back."""
    before = path.stat()
    path.write_bytes(b"other")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [replace, write_in_place, lambda path: path.write_bytes(b"longer than before")])
def test_a_change_is_seen(tmp_path: Path, change: object) -> None:
    """Prevents a note that vouches for bytes that are gone."""
    path = tmp_path / "a"
    path.write_bytes(b"bytes")
    Digests(tmp_path).of("a")
    change(path)  # type: ignore[operator]
    found = Digests(tmp_path).of("a")
    assert found is not None and found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("content", [b"", b"5 1 2 3 short\n", b"\xff\xfe", b"\n"])
def test_a_broken_note_is_no_note(tmp_path: Path, content: bytes) -> None:
    """Prevents a full disk, or a crash, from ending in a wrong digest."""
    (tmp_path / "a").write_bytes(b"bytes")
    digest = Digests(tmp_path).of("a")
    (tmp_path / NOTES / "a").write_bytes(content)
    assert Digests(tmp_path).of("a") == digest


def test_a_study_that_cannot_be_written(tmp_path: Path) -> None:
    """Prevents results on a read-only disk from being no results; a file in the notes' place refuses even root."""
    (tmp_path / "a").write_bytes(b"bytes")
    (tmp_path / "records").write_bytes(b"")
    found = Digests(tmp_path).of("a")
    assert found is not None and found.bytes == 5


def test_many_jobs_at_once(tmp_path: Path) -> None:
    """Prevents a note that two writers made together."""
    for index in range(50):
        (tmp_path / str(index)).write_bytes(b"%d" % index)
    names = [str(index) for index in range(50)] * 4

    def ask(name: str) -> Digest | None:
        return Digests(tmp_path).of(name)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, names))
    assert [digest and digest.sha256 for digest in found] == [
        hashlib.sha256(name.encode()).hexdigest() for name in names
    ]
    gathered = Digests(tmp_path)
    gathered.gather(names)
    assert [gathered.known[name] for name in names] == found
