"""recite.files: whole-or-absent files, digests, canonical JSON."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from recite.errors import ReciteError
from recite.files import atomic, canonical_json, hash64, read_json, sha256_file, write_json

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"


def test_atomic_writes_and_leaves_only_the_target(tmp_path: Path) -> None:
    """Prevents a temporary file staying behind, and a missing folder stopping a writer."""
    path = tmp_path / "new" / "folder" / "file.txt"
    with atomic(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_failure_leaves_nothing(tmp_path: Path) -> None:
    """Prevents a half-written file being taken for a finished one."""
    path = tmp_path / "file.txt"
    with pytest.raises(RuntimeError, match="stop"), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_atomic_failure_keeps_the_old_file(tmp_path: Path) -> None:
    """Prevents a failed run destroying the result of an earlier one."""
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic(path) as temporary:
        temporary.write_text("new, but not whole")
        assert path.read_text() == "old"
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_failure_before_writing_is_not_hidden(tmp_path: Path) -> None:
    """Prevents the clean-up of a file that was never made from replacing the real error."""
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "file.txt"):
        raise ZeroDivisionError


def test_atomic_temporary_lies_beside_the_target(tmp_path: Path) -> None:
    """Prevents a rename across file systems, which is not atomic."""
    with atomic(tmp_path / "file.txt") as temporary:
        assert temporary.parent == tmp_path
        temporary.touch()


def test_canonical_json_ignores_order_of_keys() -> None:
    """Prevents reordered config keys from running a stage again."""
    one = canonical_json({"b": [1, {"y": 0.5, "x": None}], "a": "ä"})
    other = canonical_json({"a": "ä", "b": [1, {"x": None, "y": 0.5}]})
    assert one == other == '{"a":"ä","b":[1,{"x":null,"y":0.5}]}'


def test_canonical_json_keeps_order_of_lists() -> None:
    """Prevents a changed order of domains, which changes the shards, from passing unseen."""
    assert canonical_json([1, 2]) != canonical_json([2, 1])


def test_json_files_round_trip(tmp_path: Path) -> None:
    """Prevents a written value from coming back changed, and its text from depending on key order."""
    value = {"b": [1, 2.5, None, True], "a": {"text": "α\n"}}
    write_json(tmp_path / "one.json", value)
    write_json(tmp_path / "two.json", dict(reversed(value.items())))
    assert read_json(tmp_path / "one.json") == value
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert "α" in (tmp_path / "one.json").read_text(encoding="utf-8")


def test_write_json_of_an_unwritable_value_keeps_the_old_file(tmp_path: Path) -> None:
    """Prevents a value that JSON cannot hold from leaving an empty file."""
    path = tmp_path / "file.json"
    write_json(path, 1)
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_holds_no_number_that_is_not_finite(tmp_path: Path, value: float) -> None:
    """Python writes NaN and Infinity, which are no JSON and no result."""
    with pytest.raises(ReciteError, match=r"rates\.json would hold a number that is not finite; look for what"):
        write_json(tmp_path / "rates.json", {"rates": [0.5, value]})
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError):
        canonical_json({"alpha": value})


def test_read_json_of_a_missing_file(tmp_path: Path) -> None:
    """Prevents a traceback where a file was deleted."""
    with pytest.raises(ReciteError, match=r"gone\.json does not exist; run the rule"):
        read_json(tmp_path / "gone.json")


@pytest.mark.parametrize("content", [b'{"a": ', b"", b"\xff\xfe\x00"])
def test_read_json_of_a_broken_file(tmp_path: Path, content: bytes) -> None:
    """Prevents a traceback for a truncated JSON file."""
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(ReciteError, match=r"broken\.json is not valid JSON .*; delete it"):
        read_json(path)


def test_sha256_file(tmp_path: Path) -> None:
    """Prevents a digest of something else than the file's bytes; larger than one read buffer."""
    content = bytes(range(256)) * 2048 + b"end"
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_hash64_is_the_digest_of_the_text() -> None:
    """Prevents a changed hash, which would silently draw other samples."""
    digest = hashlib.blake2b(b"7\x1fmini\x1f\xc3\xa4", digest_size=8).digest()
    assert hash64(7, "mini", "ä") == int.from_bytes(digest, "little")


def test_hash64_does_not_depend_on_the_process() -> None:
    """Prevents Python's salted hash from entering a seeded choice."""
    code = "from recite.files import hash64; print(hash64('corpus', 3, 'doc'))"
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": str(WORKFLOW)}
    made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(made.stdout) == hash64("corpus", 3, "doc")


def test_hash64_separates_its_parts() -> None:
    """Prevents documents (seed 1, 23) and (seed 12, 3) from sharing a key."""
    assert len({hash64(1, 23), hash64(12, 3), hash64(123), hash64(1, 2, 3)}) == 4


@pytest.mark.parametrize("shift", [0, 28, 60])
def test_hash64_is_uniform(shift: int) -> None:
    """Prevents bits without entropy, which would bias samples: chi-squared over 16 values of four bits."""
    drawn = [hash64("uniform", index) for index in range(8000)]
    assert all(0 <= value < 1 << 64 for value in drawn)
    seen = Counter((value >> shift) & 15 for value in drawn)
    chi_squared = sum((seen[value] - 500) ** 2 / 500 for value in range(16))
    assert chi_squared < 44.3  # 15 degrees of freedom, p = 0.0001
