"""recite.readers: documents of zstd-compressed JSON lines, whole or a clear error."""

import json
import struct
from pathlib import Path

import pytest
import zstandard

from recite import readers
from recite.errors import ReciteError
from recite.readers import Document, read_documents


def line(index: int, text: str | None = None) -> bytes:
    record = {"id": f"d{index}", "domain": "code", "text": text or f"text {index} äß🙂\nof two lines", "more": [index]}
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def write(path: Path, *frames: bytes) -> Path:
    path.write_bytes(b"".join(zstandard.compress(frame) for frame in frames))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "code.jsonl.zst"


def test_fields_and_rows(path: Path) -> None:
    """Prevents fields from being mixed up and unknown fields from being refused."""
    write(path, line(0) + line(1))
    expected = [Document(f"d{index}", "code", f"text {index} äß🙂\nof two lines", index) for index in (0, 1)]
    assert list(read_documents(path)) == expected


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1 << 20])
def test_lines_across_chunks_and_frames(path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Prevents documents from being lost or cut where a chunk or a frame ends within a line."""
    content = b"".join(line(index, f"é{index}" * 50) for index in range(12))
    write(path, content[:101], content[101:102], b"", content[102:])
    monkeypatch.setattr(readers, "CHUNK_BYTES", chunk)
    assert [(d.id, d.text, d.row) for d in read_documents(path)] == [(f"d{i}", f"é{i}" * 50, i) for i in range(12)]


def test_blank_lines_are_passed_over_but_counted(path: Path) -> None:
    """Prevents a blank line from being an error, and source_row from naming another line than an editor does."""
    write(path, b"\n" + line(0) + b"  \n\n" + line(1) + b"\n")
    assert [(d.id, d.row) for d in read_documents(path)] == [("d0", 1), ("d1", 4)]


def test_last_line_without_newline(path: Path) -> None:
    """Prevents the last document from being dropped."""
    write(path, line(0) + line(1).rstrip(b"\n"))
    assert [d.id for d in read_documents(path)] == ["d0", "d1"]


def test_skippable_frames(path: Path) -> None:
    """Prevents files of pzstd, which writes skippable frames, from being refused."""
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"size"
    path.write_bytes(skippable + zstandard.compress(line(0)) + skippable + zstandard.compress(line(1)))
    assert [d.id for d in read_documents(path)] == ["d0", "d1"]


@pytest.mark.parametrize("chunk", [5, 1 << 20])
def test_truncated_anywhere(path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Prevents an interrupted download from being read as a smaller corpus; a cut at a frame's end is not visible."""
    whole = zstandard.compress(line(0))
    second = zstandard.compress(line(1))
    monkeypatch.setattr(readers, "CHUNK_BYTES", chunk)
    for end in range(1, len(second)):
        path.write_bytes(whole + second[:end])
        with pytest.raises(ReciteError, match=r"code\.jsonl\.zst ends within a zstd frame: it is truncated; delete it"):
            list(read_documents(path))


def test_empty_file(path: Path) -> None:
    """Prevents a file of no bytes, as a full disk leaves it, from being read as a domain without documents."""
    path.touch()
    with pytest.raises(ReciteError, match=r"code\.jsonl\.zst"):
        list(read_documents(path))


def test_empty_frame_holds_no_documents(path: Path) -> None:
    """Prevents a whole file without lines from being taken for a broken one."""
    assert list(read_documents(write(path, b""))) == []


@pytest.mark.parametrize("tail", [b"trailing rubbish", b'{"id": "plain text"}\n'])
def test_bytes_that_are_not_zstd(path: Path, tail: bytes) -> None:
    """Prevents rubbish after a frame from being dropped."""
    path.write_bytes(zstandard.compress(line(0)) + tail)
    with pytest.raises(ReciteError, match=r"code\.jsonl\.zst is not a whole zstd file .*; delete it"):
        list(read_documents(path))


@pytest.mark.parametrize("bad", [b'{"id": "x", ', b"plain", b'{"id": "\xff"}'])
def test_line_that_is_not_json(path: Path, bad: bytes) -> None:
    """Prevents a broken line from being skipped; its number counts blank lines and starts at 1."""
    write(path, line(0) + b"\n" + bad + b"\n" + line(1))
    found = read_documents(path)
    assert next(found).id == "d0"
    with pytest.raises(ReciteError, match=r"code\.jsonl\.zst, line 3: not JSON .*mend or replace"):
        next(found)


@pytest.mark.parametrize("field", ["id", "domain", "text"])
def test_missing_field(path: Path, field: str) -> None:
    """Prevents a KeyError for a corpus in another format."""
    record = {"id": "x", "domain": "code", "text": "t"}
    del record[field]
    write(path, line(0) + json.dumps(record).encode())
    with pytest.raises(ReciteError, match=rf"code\.jsonl\.zst, line 2: field '{field}' is missing; mend or replace"):
        list(read_documents(path))


@pytest.mark.parametrize(
    "record", ['{"id": "x", "domain": "code", "text": null}', '{"id": 1, "domain": "c", "text": "t"}']
)
def test_field_that_is_no_text(path: Path, record: str) -> None:
    """Prevents a null text from ending in a traceback of the tokenizer, far from its file and line."""
    write(path, record.encode())
    with pytest.raises(ReciteError, match=r"code\.jsonl\.zst, line 1: "):
        list(read_documents(path))


@pytest.mark.parametrize("record", [b"[1]", b"3", b'"text"', b"null"])
def test_line_that_is_no_object(path: Path, record: bytes) -> None:
    """Prevents a TypeError for JSON lines that hold no objects."""
    write(path, record)
    with pytest.raises(ReciteError, match=r"code\.jsonl\.zst, line 1: "):
        list(read_documents(path))


def test_missing_file(path: Path) -> None:
    """Prevents a traceback for a missing corpus file."""
    with pytest.raises(ReciteError, match=r"code\.jsonl\.zst does not exist; run the rule"):
        list(read_documents(path))


def test_reading_is_lazy(path: Path) -> None:
    """Prevents a whole file from being held in memory: an error at its end comes after its first documents."""
    write(path, line(0) + b"broken\n")
    assert next(read_documents(path)).id == "d0"
