"""recite.corpora.readers: exact documents of every format; defects skipped, counted and located, or a clear error."""

import gzip
import json
import os
import random
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pyarrow import feather

from recite.corpora import readers
from recite.corpora.readers import Document, Layout, Skipped, built, columns, lines, read_built, read_documents
from recite.errors import ReciteError

LINES = [".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst", ".jsonl.zstd", ".json.zstd"]
COMPRESSED = [".jsonl.gz", ".jsonl.zst"]
COLUMNS = [".parquet", ".arrow", ".feather"]
NESTED = Layout("meta.body", "meta.key.number", "meta.set", labels={"CC": "web", "Code": "code"})
TEXTS = ["äß🙂\nof two lines", "a\u2028b\x85c\r", " ", "x" * 5000, "\0"]
Record = dict[str, Any]


def record(index: int, text: str | None = None) -> Record:
    return {"id": f"d{index}", "domain": "code", "text": text or f"text {index}", "more": [index]}


def line(index: int, text: str | None = None) -> bytes:
    return json.dumps(record(index, text), ensure_ascii=False).encode() + b"\n"


def pack(path: Path, *frames: bytes) -> Path:
    """A file of lines; each part is a frame or member of its own where the suffix says compressed."""
    packed = {".gz": partial(gzip.compress, compresslevel=1)} | dict.fromkeys((".zst", ".zstd"), zstandard.compress)
    compress = packed.get(path.suffix, bytes)
    path.write_bytes(b"".join(compress(frame) for frame in frames))
    return path


def write_arrow(path: Path, table: pa.Table, batch_rows: int = 3) -> Path:
    """An Arrow stream in batches of `batch_rows`."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, batch_rows)
    return path


def save(folder: Path, suffix: str, records: Sequence[Record]) -> Path:
    """A file of these records in any format; Arrow by `datasets` itself."""
    path = folder / f"file{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path, row_group_size=3)
    elif suffix == ".arrow":
        datasets.Dataset.from_list(records).save_to_disk(folder / "saved")
        (made,) = (folder / "saved").glob("*.arrow")
        made.rename(path)
    elif suffix == ".feather":
        feather.write_feather(pa.Table.from_pylist(records), path, chunksize=3)
    else:
        pack(path, b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in records))
    return path


class Found(NamedTuple):
    """A document but for its source, which is the file's name."""

    id: str
    domain: str
    text: str
    row: int


def found(documents: Iterable[Document], name: str) -> list[Found]:
    """The documents of one file."""
    read = list(documents)
    assert {document.source for document in read} <= {name}
    return [Found(*document[:4]) for document in read]


def read(path: Path, layout: Layout | None = None, name: str | None = None) -> tuple[list[Found], Skipped]:
    """All documents of a file and what was skipped."""
    skipped = Skipped()
    name = name or path.name
    return found(read_documents(path, name, layout or built(["code"]), skipped), name), skipped


def ids(path: Path) -> list[str]:
    documents, skipped = read(path)
    assert not skipped.counts
    return [document.id for document in documents]


@pytest.mark.parametrize("suffix", LINES + COLUMNS)
def test_every_format_gives_the_same_documents(tmp_path: Path, suffix: str) -> None:
    """Prevents fields from being mixed up, texts from being changed or cut at what only looks like a line's end."""
    path = save(tmp_path, suffix, [record(index, text) for index, text in enumerate(TEXTS)])
    documents, skipped = read(path)
    assert documents == [Found(f"d{index}", "code", text, index) for index, text in enumerate(TEXTS)]
    assert skipped == Skipped()


@pytest.mark.parametrize("suffix", LINES + COLUMNS)
def test_nested_fields(tmp_path: Path, suffix: str) -> None:
    """Prevents dotted paths from being read at the top, integers from being refused as identifiers, labels unmapped."""
    records = [
        {"text": "no", "meta": {"set": label, "body": f"text {index}", "key": {"number": index + 7}}}
        for index, label in enumerate(["CC", "Code", "CC"])
    ]
    documents, skipped = read(save(tmp_path, suffix, records), NESTED)
    expected = [("7", "web", "text 0", 0), ("8", "code", "text 1", 1), ("9", "web", "text 2", 2)]
    assert documents == expected and not skipped.counts


@pytest.mark.parametrize("suffix", LINES + COLUMNS)
def test_identifiers_and_labels_of_the_file(tmp_path: Path, suffix: str) -> None:
    """Prevents two files' documents from sharing identifiers, and the label from being sought in the folder above."""
    path = save(tmp_path, suffix, [{"text": "one"}, {"text": "two"}])
    layout = Layout("text", path=r"^(\w+)/", labels={"en": "english"})
    name = f"en/file{suffix}"
    documents, _ = read(path, layout, name)
    assert documents == [(f"{name}:0", "english", "one", 0), (f"{name}:1", "english", "two", 1)]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("path", [None, "(file)"])
def test_labels_of_no_domain_are_skipped(tmp_path: Path, suffix: str, path: str | None) -> None:
    """Prevents documents of other domains from being lost without a count, or from stopping the study."""
    layout = Layout("text", "id", None if path else "domain", path, {"prose": "free"})
    documents, skipped = read(save(tmp_path, suffix, [record(0), record(1)]), layout)
    reason = f"label {'file' if path else 'code'} is not a domain of the corpus"
    assert documents == [] and skipped.counts == {reason: 2}
    assert skipped.first == {reason: f"file{suffix}, row 0" + (", byte 0" if suffix == ".jsonl" else "")}


@pytest.mark.parametrize("suffix", LINES + COLUMNS)
def test_removed_documents(tmp_path: Path, suffix: str) -> None:
    """Prevents a takedown notice from being sampled as the text of thousands of documents, and its mention dropped."""
    texts = ["[removed]", "[removed] by him", " [removed]\n", "kept"]
    path = save(tmp_path, suffix, [record(index, text) for index, text in enumerate(texts)])
    documents, skipped = read(path, built()._replace(removed="\n[removed]"))
    assert [document.row for document in documents] == [1, 3]
    assert skipped.counts == {"removed": 2} and skipped.first["removed"].startswith(f"file{suffix}, row 0")


BROKEN = [
    (b"plain", "not JSON"),
    (b'{"id": "x", ', "not JSON"),
    (b'{"text": NaN, "id": "x", "domain": "code"}', "field text is not text"),
    (b'{"text": "\\ud83d", "id": "x", "domain": "code"}', "half a surrogate pair in field text"),
    (b'{"text": "t", "id": "\\udc00", "domain": "code"}', "half a surrogate pair in field id"),
    (b'{"text": "t", "id": "x", "domain": "code", "more": nan}', "not JSON"),
    (b'{"text": "\xff", "id": "x", "domain": "code"}', "not UTF-8"),
    (b'{"text": "t", "id": "\xff", "domain": "code"}', "not UTF-8"),
    (b'{"text": "\xed\xa0\xbd", "id": "x", "domain": "code"}', "not UTF-8"),
    (b'{"text": "\xff"}', "not UTF-8"),
    (b"[" * 5000, "nested too deeply"),
    (b"[1]", "not an object"),
    (b"3", "not an object"),
    (b"null", "not an object"),
    (b'"text"', "not an object"),
    (b'{"id": "x", "domain": "code"}', "missing field text"),
    (b'{"text": "t", "domain": "code"}', "missing field id"),
    (b'{"text": "t", "id": "x"}', "missing field domain"),
    (b'{"text": null, "id": "x", "domain": "code"}', "field text is not text"),
    (b'{"text": "t", "id": 1.5, "domain": "code"}', "field id is not text"),
    (b'{"text": "t", "id": true, "domain": "code"}', "field id is not text"),
    (b'{"text": "t", "id": "x", "domain": ["code"]}', "field domain is not text"),
]
UNWANTED = [
    (b"", "blank line"),
    (b" \t\r", "blank line"),
    (b'{"text": "", "id": "x", "domain": "code"}', "empty text"),
    (b'{"text": "t", "id": "x", "domain": "prose"}', "label prose is not a domain of the corpus"),
]


@pytest.mark.parametrize("suffix", [".jsonl", *COMPRESSED])
@pytest.mark.parametrize(("bad", "reason"), BROKEN + UNWANTED)
def test_bad_lines_are_skipped_counted_and_located(tmp_path: Path, suffix: str, bad: bytes, reason: str) -> None:
    """Prevents one bad document of a billion from stopping a run, and from being lost without a place to look."""
    first = line(0, "é")
    documents, skipped = read(pack(tmp_path / f"a{suffix}", first + bad + b"\n" + bad + b"\n" + line(1)))
    assert [(document.id, document.row) for document in documents] == [("d0", 0), ("d1", 3)]
    assert skipped == Skipped({reason: 2}, {reason: f"a{suffix}, row 1, byte {len(first)}"})  # type: ignore[arg-type]


UNREAD = [
    b"NaN",
    b"-Infinity",
    b"[1, Infinity]",
    b"1e999",
    b"9" * 5000,
    b'"\\ud800"',
    b'"\\udfff\\ud800 and more"',
    b'{"\\ud800": 1}',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"a\x00b\x1f\tc"',
    b'1, "unread": NaN',
    b"[" * 600 + b"NaN" + b"]" * 600,
    b'"\xef\xbb\xbf \xe2\x80\xa8 \x0c"',
]


@pytest.mark.parametrize(
    "place",
    [
        b'{"unread": %b, "id": "x", "domain": "code", "text": "t\\u00e9"}',
        b'{"id": "x", "domain": "code", "text": "t\\u00e9", "unread": %b}',
    ],
)
@pytest.mark.parametrize("bad", UNREAD)
def test_what_is_not_read_need_not_be_sound(tmp_path: Path, place: bytes, bad: bytes) -> None:
    """Prevents a score that is NaN, or half an emoji in an address, from costing a document whose text is sound."""
    documents, skipped = read(pack(tmp_path / "a.jsonl", line(0) + place % bad + b"\n" + line(2)))
    assert documents == [("d0", "code", "text 0", 0), ("x", "code", "té", 1), ("d2", "code", "text 2", 2)]
    assert not skipped.counts


def test_long_integers_are_identifiers(tmp_path: Path) -> None:
    """Prevents documents whose identifier has more than 64 bits, as a digest has, from being skipped or sharing one."""
    numbers = [2**128 + index for index in range(3)]
    lines_ = b"".join(b'{"id": %d, "domain": "code", "text": "t"}\n' % number for number in numbers)
    assert ids(pack(tmp_path / "a.jsonl", lines_)) == [str(number) for number in numbers]


@pytest.mark.parametrize("suffix", LINES)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_byte_order_marks(tmp_path: Path, suffix: str, end: bytes) -> None:
    """Prevents the first document of a file of Windows from being lost, and of each part of one that was joined."""
    mark, parts = b"\xef\xbb\xbf", [line(index).replace(b"\n", end) for index in range(4)]
    path = pack(tmp_path / f"a{suffix}", mark + parts[0] + parts[1], mark + parts[2], mark + parts[3] + mark)
    documents, skipped = read(path)
    assert [(document.id, document.row) for document in documents] == [(f"d{index}", index) for index in range(4)]
    assert skipped.counts == {"blank line": 1}
    path = pack(tmp_path / f"a{suffix}", mark + b"bad\n" + parts[0])
    assert read(path)[1].first == {"not JSON": f"a{suffix}, row 0, byte 0"}


@pytest.mark.parametrize("suffix", LINES)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b" \t"])
def test_parts_without_the_end_of_their_last_line(tmp_path: Path, suffix: str, mark: bytes) -> None:
    """Prevents two documents from being lost wherever files were joined of which one ended without a newline; and
    numbers that two documents share."""
    parts = [mark + line(at, "é}\ufeff{") + line(at + 1).rstrip(b"\n") for at in (0, 2, 4)]
    path = pack(tmp_path / f"a{suffix}", *parts, b"\n" + line(6) + b'{"id": "x"}' + mark + line(7) + b"{}bad\n")
    documents, skipped = read(path)
    assert [(document.id, document.row) for document in documents] == [(f"d{at}", at + (at > 6)) for at in range(8)]
    assert skipped.counts == {"missing field text": 1, "not JSON": 1}
    content = b"".join(parts) + b"\n" + line(6)
    assert skipped.first["missing field text"] == f"a{suffix}, row 7, byte {len(content)}"
    assert skipped.first["not JSON"].startswith(f"a{suffix}, row 9, byte ")


def test_zeros_behind_a_gzip_member(tmp_path: Path) -> None:
    """Prevents a file that a tape filled up, which gzip reads, from being refused; zeros alone are no file."""
    path, padding = tmp_path / "a.jsonl.gz", bytes(5000)
    path.write_bytes(gzip.compress(line(0)) + padding + gzip.compress(line(1)) + padding)
    assert ids(path) == ["d0", "d1"]
    path.write_bytes(padding)
    with pytest.raises(ReciteError, match="no gzip member after byte 0"):
        read(path)


@pytest.mark.parametrize("suffix", [".JSONL", ".Jsonl.GZ", ".json.Zst", ".PARQUET", ".Arrow"])
def test_suffixes_in_capitals(tmp_path: Path, suffix: str) -> None:
    """Prevents a compressed file from being read as plain, or refused, for the case of its suffix."""
    save(tmp_path, suffix.lower(), [record(0)]).rename(tmp_path / f"b{suffix}")
    assert ids(tmp_path / f"b{suffix}") == ["d0"]


@pytest.mark.parametrize("suffix", [".jsonl", *COLUMNS])
def test_names_that_hold_dots(tmp_path: Path, suffix: str) -> None:
    """Prevents a flat column with dots in its name from being unreachable; it goes before a path of the same name."""
    entry = {"text": "t", "meta.set": "flat", "meta": {"set": "nested", "a.b": "inner"}, "more.x": {"y": "deep"}}
    path = save(tmp_path, suffix, [entry])
    found = {field: read(path, Layout("text", domain=field))[0] for field in ("meta.set", "meta.a.b", "more.x.y")}
    assert {field: document.domain for field, (document,) in found.items()} == {
        "meta.set": "flat",
        "meta.a.b": "inner",
        "more.x.y": "deep",
    }
    only = save(tmp_path, suffix, [{"text": "t", "meta": {"set": "nested"}}])
    assert read(only, Layout("text", domain="meta.set"))[0][0].domain == "nested"


@pytest.mark.parametrize(("bad", "reason"), [(b'{"meta": 3}', "meta.body"), (b'{"meta": {"body": "b"}}', "meta.key")])
def test_missing_nested_fields(tmp_path: Path, bad: bytes, reason: str) -> None:
    """Prevents a field below something that is no object from being a traceback."""
    good = b'{"meta": {"body": "b", "key": {"number": 1}, "set": "CC"}}\n'
    documents, skipped = read(pack(tmp_path / "a.jsonl", good + bad), NESTED)
    (found,) = skipped.counts
    assert len(documents) == 1 and found.startswith(f"missing field {reason}")


@pytest.mark.parametrize("suffix", LINES)
@pytest.mark.parametrize(("bad", "reason"), BROKEN)
def test_file_of_broken_documents_only(tmp_path: Path, suffix: str, bad: bytes, reason: str) -> None:
    """Prevents a wrong field name in the config from emptying a corpus silently; blank lines do not count."""
    path = pack(tmp_path / f"a{suffix}", b"\n" + bad + b"\n" + bad)
    sentence = (
        f"a{suffix}: none of its 2 documents can be read, the first (a{suffix}, row 1, byte 1: {reason}); correct"
    )
    with pytest.raises(ReciteError, match=re.escape(sentence)):
        read(path)


@pytest.mark.parametrize(("bad", "reason"), UNWANTED)
def test_file_of_unwanted_documents_only(tmp_path: Path, bad: bytes, reason: str) -> None:
    """Prevents a file of another domain, or of takedown notices only, from stopping the study."""
    documents, skipped = read(pack(tmp_path / "a.jsonl", bad + b"\nbroken\n" if b"{" in bad else bad + b"\n"))
    assert documents == [] and skipped.counts[reason] == 1


def test_windows_line_ends(tmp_path: Path) -> None:
    """Prevents a carriage return from being taken for JSON, and offsets from missing it."""
    content = line(0).replace(b"\n", b"\r\n")
    documents, skipped = read(pack(tmp_path / "a.jsonl", content + b"bad\r\n" + content))
    assert [document.row for document in documents] == [0, 2]
    assert skipped.first == {"not JSON": f"a.jsonl, row 1, byte {len(content)}"}


@pytest.mark.parametrize("suffix", [".jsonl", *COMPRESSED])
@pytest.mark.parametrize("size", [1, 2, 7, 64, 1 << 20])
def test_lines_across_chunks_and_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, size: int
) -> None:
    """Prevents documents from being lost, cut or misplaced where a chunk or a frame ends within a line."""
    monkeypatch.setattr(lines, "CHUNK_BYTES", max(2, size))  # 1 means a line to open()
    monkeypatch.setattr(lines, "SLICE_BYTES", size)
    content = b"".join(line(index, f"é{index}" * 50) for index in range(12))
    path = pack(tmp_path / f"a{suffix}", content[:101], content[101:102], b"", content[102:] + b"\nbad")
    documents, skipped = read(path)
    assert documents == [(f"d{index}", "code", f"é{index}" * 50, index) for index in range(12)]
    places = {"blank line": f"row 12, byte {len(content)}", "not JSON": f"row 13, byte {len(content) + 1}"}
    assert skipped.first == {reason: f"a{suffix}, {place}" for reason, place in places.items()}


@pytest.mark.parametrize("suffix", LINES)
def test_last_line_without_newline(tmp_path: Path, suffix: str) -> None:
    """Prevents the last document from being dropped."""
    assert ids(pack(tmp_path / f"a{suffix}", line(0) + line(1).rstrip(b"\n"))) == ["d0", "d1"]


def test_skippable_frames(tmp_path: Path) -> None:
    """Prevents files of pzstd, which writes skippable frames, from being refused."""
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"size"
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(skippable + zstandard.compress(line(0)) + skippable + zstandard.compress(line(1)) + skippable)
    assert ids(path) == ["d0", "d1"]


@pytest.mark.parametrize("window_log", [20, 27, 28, 31])
def test_windows_above_the_default(tmp_path: Path, window_log: int) -> None:
    """Prevents files of `zstd --long=31`, as large corpora are published, from being refused."""
    block = struct.pack("<I", 1 | len(line(0)) << 3)[:3] + line(0)  # the last block, not compressed
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(struct.pack("<IBB", 0xFD2FB528, 0, (window_log - 10) << 3) + block)
    assert ids(path) == ["d0"]


@pytest.mark.parametrize("suffix", COMPRESSED)
@pytest.mark.parametrize("size", [5, 1 << 11])
def test_truncated_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, size: int) -> None:
    """Prevents an interrupted download from being read as a smaller corpus; a cut at a frame's end is not visible."""
    monkeypatch.setattr(lines, "SLICE_BYTES", size)
    path = pack(tmp_path / f"a{suffix}", line(0))
    whole = path.read_bytes()
    second = pack(path, line(1)).read_bytes()
    for end in range(1, len(second)):
        path.write_bytes(whole + second[:end])
        with pytest.raises(ReciteError) as error:
            read(path)
        found = re.fullmatch(
            rf"a{suffix} ends within a (zstd frame|gzip member), at byte (\d+) of its text: it is truncated; "
            "delete it and fetch or make it again.",
            str(error.value),
        )
        assert found and len(line(0)) <= int(found[2]) <= len(line(0) + line(1))


@pytest.mark.parametrize("suffix", COMPRESSED)
@pytest.mark.parametrize("tail", [b"trailing rubbish", b'{"id": "plain text"}\n', b"\n"])
@pytest.mark.parametrize("head", [b"", line(0)])
def test_bytes_that_are_no_frame(tmp_path: Path, suffix: str, tail: bytes, head: bytes) -> None:
    """Prevents rubbish after a frame from being dropped, and a plain file from being taken for an empty one."""
    path = pack(tmp_path / f"a{suffix}", *([head] if head else []))
    path.write_bytes(path.read_bytes() + tail)
    sentence = rf"a{suffix}: no (zstd frame|gzip member) after byte {len(head)} .*; delete"
    one_byte = rf"a{suffix} ends within a gzip member, at byte {len(head)} "  # a member shows itself in its second
    with pytest.raises(ReciteError, match=rf"{sentence}|{one_byte}" if tail == b"\n" else sentence):
        read(path)


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_damaged_content(tmp_path: Path, suffix: str) -> None:
    """Prevents a flipped bit from changing a text without a word, where the file has a checksum."""
    path = tmp_path / f"a{suffix}"
    content = b"".join(line(index) for index in range(200))
    checked = zstandard.ZstdCompressor(write_checksum=True).compress(content)
    whole = checked if suffix == ".jsonl.zst" else gzip.compress(content)
    for place in range(20, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ReciteError, match=rf"a{suffix}"):
            read(path)


@pytest.mark.parametrize("suffix", LINES)
def test_files_without_documents(tmp_path: Path, suffix: str) -> None:
    """Prevents a whole file without lines from being taken for a broken one, and a compressed file of no bytes, as a
    full disk leaves it, from being read as a domain without documents."""
    assert ids(pack(tmp_path / f"a{suffix}", b"")) == []
    path = tmp_path / f"b{suffix}"
    path.touch()
    if suffix in (".json", ".jsonl"):
        assert ids(path) == []
    else:
        with pytest.raises(ReciteError, match=rf"b{suffix} is empty, .*; delete it and fetch or make it again"):
            read(path)


@pytest.mark.parametrize("suffix", [*LINES, *COLUMNS])
def test_missing_file(tmp_path: Path, suffix: str) -> None:
    """Prevents a traceback for a missing corpus file."""
    with pytest.raises(ReciteError, match=rf"a{suffix} does not exist; run the rule .* or correct its path"):
        read(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl.xz", "a.zst", "jsonl", "a.jsonl.zst.tmp"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    """Prevents a file of another format from being read as lines."""
    (tmp_path / name).touch()
    sentence = (
        f"{name} is of no known format; name the file by what it is, one of {', '.join([*LINES, *readers.COLUMNS])}, or"
    )
    with pytest.raises(ReciteError, match=re.escape(sentence)):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        (Layout("text"), "must have one of domain and path"),
        (Layout("text", domain="domain", path="(a)"), "must have one of domain and path"),
        (Layout("text", path="("), "is no expression with a group"),
        (Layout("text", path="a"), "is no expression with a group"),
        (Layout("text", path="(b)"), "finds no label in this name"),
        (Layout("text", path="a(b)?"), "finds no label in this name"),
    ],
)
def test_layout_mistakes(tmp_path: Path, layout: Layout, sentence: str) -> None:
    """Prevents a label from nowhere."""
    with pytest.raises(ReciteError, match=rf"^a\.jsonl: .*{sentence}"):
        read(pack(tmp_path / "a.jsonl", line(0)), layout)


@pytest.mark.timeout(60)
def test_a_long_line_is_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a book of 100 MB from taking hours: joined anew at each of 25,000 chunks it is copied 1.2 TB."""
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1 << 12)
    text = "0123456789" * 10_000_000
    (document,), _ = read(pack(tmp_path / "a.jsonl", line(0, text)))
    assert document.text == text


@pytest.mark.parametrize("suffix", [".jsonl", *COMPRESSED])
@pytest.mark.parametrize("size", [16, 1 << 20])
def test_a_line_above_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, size: int) -> None:
    """Prevents a file without newlines from filling the memory; a line of exactly the limit is read."""
    monkeypatch.setattr(lines, "CHUNK_BYTES", size)
    monkeypatch.setattr(lines, "SLICE_BYTES", size)
    longest = line(1, "x" * 200)
    monkeypatch.setattr(lines, "LONGEST_LINE", len(longest) - 1)
    assert ids(pack(tmp_path / f"a{suffix}", line(0) + longest + line(2))) == ["d0", "d1", "d2"]
    for last in (b"", b"\n" + line(2)):
        path = pack(tmp_path / f"a{suffix}", line(0) + longest.rstrip(b"\n") + b" " + last)
        sentence = rf"a{suffix}, row 1, byte {len(line(0))}: a line of more than {len(longest) - 1} bytes; make"
        with pytest.raises(ReciteError, match=sentence):
            read(path)


def test_reading_is_lazy(tmp_path: Path) -> None:
    """Prevents a whole file from being held in memory: an error at its end comes after its first documents."""
    path = tmp_path / "a.jsonl.zst"
    content = b"".join(line(index, "x" * 4000) for index in range(1000))
    path.write_bytes(zstandard.ZstdCompressor(level=1).compress(content) + b"rubbish")
    documents = read_documents(path, path.name, built(), Skipped())
    assert [next(documents).row for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("size", [1, 100, 1 << 22])
@pytest.mark.parametrize("suffix", COLUMNS)
def test_rows_across_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, size: int) -> None:
    """Prevents rows from being lost, doubled or renumbered where a batch or a row group ends."""
    monkeypatch.setattr(columns, "BATCH_BYTES", size)
    path = save(tmp_path, suffix, [record(index, "x" * index) for index in range(1, 40)])
    documents, _ = read(path)
    assert documents == [(f"d{index}", "code", "x" * index, index - 1) for index in range(1, 40)]


def column_file(folder: Path, suffix: str, **values: pa.Array) -> Path:
    path, table = folder / f"a{suffix}", pa.table(values)
    if suffix == ".arrow":
        return write_arrow(path, table)
    if suffix == ".feather":
        feather.write_feather(table, path)
        return path
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize("suffix", COLUMNS)
def test_bad_rows_are_skipped_counted_and_located(tmp_path: Path, suffix: str) -> None:
    """Prevents a null or bytes that are no text from stopping a run or becoming the text "None"."""
    raw = pa.array([b"zero", None, b"\xff", b"", b"four"]).view(pa.string())
    numbers = pa.array([10, 11, 12, 13, None], pa.int64())
    labels = pa.array(["code"] * 5).dictionary_encode()
    documents, skipped = read(column_file(tmp_path, suffix, text=raw, id=numbers, domain=labels))
    assert documents == [("10", "code", "zero", 0)]
    rows = {"field text is not text": 1, "not UTF-8": 2, "empty text": 3, "field id is not text": 4}
    assert skipped.counts == dict.fromkeys(rows, 1)
    assert skipped.first == {reason: f"a{suffix}, row {row}" for reason, row in rows.items()}


@pytest.mark.parametrize("suffix", COLUMNS)
def test_null_structs(tmp_path: Path, suffix: str) -> None:
    """Prevents a document without its struct from showing what lies in the struct's buffers."""
    meta = pa.StructArray.from_arrays([pa.array(["a", "b"])], ["body"], mask=pa.array([False, True]))
    path = column_file(tmp_path, suffix, meta=meta, set=pa.array(["x", "x"], pa.large_string()))
    documents, skipped = read(path, Layout("meta.body", domain="set"))
    assert documents == [(f"a{suffix}:0", "x", "a", 0)] and skipped.counts == {"field meta.body is not text": 1}


@pytest.mark.parametrize("suffix", COLUMNS)
@pytest.mark.parametrize("values", [[[1, 2], [3]], [{"body": "t"}] * 2, [b"t", b"u"], [1, 2], [None, None]])
def test_columns_of_no_text(tmp_path: Path, suffix: str, values: list[Any]) -> None:
    """Prevents a corpus whose text column holds tokens from being read as one without documents."""
    path = column_file(tmp_path, suffix, text=pa.array(values))
    sentence = rf"a{suffix}: none of its 2 documents .*a{suffix}, row 0: field text is not text\); correct"
    with pytest.raises(ReciteError, match=sentence):
        read(path, Layout("text", path="(a)"))


@pytest.mark.parametrize("suffix", COLUMNS)
@pytest.mark.parametrize("field", ["text", "id", "domain"])
@pytest.mark.parametrize("column", ["content", "meta.body", "more.body", "more.inner.body"])
def test_lacking_column(tmp_path: Path, suffix: str, field: str, column: str) -> None:
    """Prevents a KeyError for a file of other columns."""
    path = column_file(tmp_path, suffix, text=pa.array(["t"]), more=pa.array([{"inner": "x"}]))
    layout = Layout("text", "text", "text")._replace(**{field: column})
    sentence = rf"a{suffix} has no column {re.escape(column)}, .*\(its columns: text, more\); correct the fields"
    with pytest.raises(ReciteError, match=sentence):
        read(path, layout)


@pytest.mark.parametrize("suffix", COLUMNS)
def test_column_files_without_rows(tmp_path: Path, suffix: str) -> None:
    """Prevents a whole file without rows from being taken for a broken one."""
    empty = pa.array([], pa.string())
    assert ids(column_file(tmp_path, suffix, text=empty, id=empty, domain=empty)) == []


def message_ends(stream: bytes) -> list[int]:
    """Where the messages of an Arrow stream end, read by the format's own lengths; the last one is the end's marker."""
    source, ends = pa.BufferReader(stream), []
    while source.tell() < len(stream):
        if stream[source.tell() :] == b"\xff\xff\xff\xff\0\0\0\0":
            return [*ends, len(stream)]
        pa.ipc.read_message(source)
        ends.append(source.tell())
    return ends


@pytest.mark.parametrize("suffix", COLUMNS)
def test_truncated_columns(tmp_path: Path, suffix: str) -> None:
    """Prevents an interrupted download from being read as a smaller corpus, or from ending the process; a stream that
    ends with a message is whole, as a writer that was not closed leaves it."""
    path = save(tmp_path, suffix, [record(index) for index in range(8)])
    whole = path.read_bytes()
    ends = message_ends(whole) if suffix == ".arrow" else [len(whole)]
    cuts = [*range(0, len(whole), 8), len(whole) - 1]
    for content in [*(whole[:end] for end in cuts if end not in ends), whole + b"rubbish\n", b"PAR1"]:
        path.write_bytes(content)
        sentence = rf"file{suffix} is not a whole (Parquet file|Arrow file or stream) \(.*; delete"
        with pytest.raises(ReciteError, match=sentence):
            read(path)
    for end in ends:
        path.write_bytes(whole[:end])
        found = ids(path)
        assert found == [f"d{index}" for index in range(len(found))]
    assert len(found) == 8


def test_streams_without_their_end(tmp_path: Path) -> None:
    """Prevents a whole stream from being refused: in batches, with dictionaries, in the older format, without rows."""
    table = pa.Table.from_pylist([record(index) for index in range(4)])
    coded = table.set_column(1, "domain", table["domain"].dictionary_encode())
    legacy = pa.ipc.IpcWriteOptions(use_legacy_format=True)
    for made, options, rows in ((table, None, 4), (coded, None, 4), (table, legacy, 4), (table.slice(0, 0), None, 0)):
        sink = pa.BufferOutputStream()
        stream = pa.ipc.new_stream(sink, made.schema, options=options)
        stream.write_table(made, 3)
        stream.write_batch(pa.RecordBatch.from_pylist([], made.schema))
        path = tmp_path / "a.arrow"
        path.write_bytes(sink.getvalue().to_pybytes())  # never closed
        assert len(ids(path)) == rows


def test_arrow_files_and_streams_are_told_by_what_they_hold(tmp_path: Path) -> None:
    """Prevents a file in the file format from being refused where its suffix is that of a stream, and the reverse."""
    table = pa.Table.from_pylist([record(index) for index in range(8)])
    for suffix in (".arrow", ".arrows", ".feather"):
        for kind in (pa.ipc.new_file, pa.ipc.new_stream):
            with pa.OSFile(str(tmp_path / f"a{suffix}"), "wb") as file, kind(file, table.schema) as writer:
                writer.write_table(table, 3)
            assert ids(tmp_path / f"a{suffix}") == [f"d{index}" for index in range(8)]


@pytest.mark.parametrize("suffix", COLUMNS)
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), None])
def test_texts_of_every_type(tmp_path: Path, suffix: str, kind: pa.DataType | None) -> None:
    """Prevents one text that is not UTF-8 from costing the file, whichever of Arrow's types the column is of."""
    text = pa.array([b"zero", b"\xff", None, b"three"])
    if kind is None:
        words = pa.array([b"zero", b"\xff", b"three"]).view(pa.string())
        text = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2], pa.int32()), words)
    else:
        as_bytes = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}.get(kind, pa.binary_view())
        text = text.cast(as_bytes).view(kind)
    documents, skipped = read(column_file(tmp_path, suffix, text=text), Layout("text", path="(a)"))
    assert [document.text for document in documents] == ["zero", "three"]
    assert skipped.counts == {"not UTF-8": 1, "field text is not text": 1}


DAMAGE = """
import sys
from pathlib import Path
from recite.errors import ReciteError
from recite.corpora.readers import Skipped, built, read_documents

path = Path(sys.argv[1])
whole, errors = path.read_bytes(), 0
for place in range(0, len(whole), 3):
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 192]) + whole[place + 1 :])
    try:
        list(read_documents(path, path.name, built(), Skipped()))
    except ReciteError:
        errors += 1
print(errors)
"""


def python(code: str, path: Path) -> str:
    """What `code` prints in a process of its own, given the file's path."""
    environment = os.environ | {"PYTHONPATH": str(Path(readers.__file__).parents[3])}
    command = [sys.executable, "-c", code, path]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


@pytest.mark.parametrize("suffix", COLUMNS)
def test_damaged_columns(tmp_path: Path, suffix: str) -> None:
    """Prevents a flipped bit in an offset from aborting the process, and one in a name from being a traceback."""
    assert int(python(DAMAGE, save(tmp_path, suffix, [record(index) for index in range(8)]))) > 100


MEMORY = """
import sys
from pathlib import Path
from recite.corpora.readers import Skipped, built, read_documents

def memory():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) // 1024

path, before, most = Path(sys.argv[1]), memory(), 0
for index, document in enumerate(read_documents(path, path.name, built(), Skipped())):
    if index % 200 == 0:
        most = max(most, memory())
print(index + 1, most - before)
"""


def same(count: int) -> list[str]:
    return ["the same words again and again " * 130] * count


def different(count: int) -> list[str]:
    numbers = random.Random(1)
    return [numbers.randbytes(250).hex() * 8 for _ in range(count)]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("texts", [same, different])
@pytest.mark.parametrize("suffix", [".jsonl", *COMPRESSED, ".parquet", ".arrow"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str, texts: Callable[[int], list[str]]) -> None:
    """Prevents 60 MB of lines, or 120 MB in columns, as one frame, row group or batch, from being held at once."""
    count, most = (30_000, 60) if suffix in COLUMNS else (15_000, 30)
    table = pa.table({"id": [f"d{index}" for index in range(count)], "domain": ["code"] * count, "text": texts(count)})
    path = tmp_path / f"a{suffix}"
    if suffix == ".arrow":
        write_arrow(path, table, count)
    elif suffix == ".parquet":
        pq.write_table(table, path, row_group_size=count)
    else:
        pack(path, b"".join(json.dumps(entry).encode() + b"\n" for entry in table.to_pylist()))
    read_count, grown = map(int, python(MEMORY, path).split())
    assert read_count == count
    assert grown < most  # MiB, of which Arrow's allocator keeps half


def test_reasons_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a label that differs in every document from filling the memory with reasons."""
    monkeypatch.setattr(readers.layout, "MOST_REASONS", 2)
    records = [record(index) | {"domain": f"l{index}" * 90} for index in (0, 1, 2, 3, 0)]
    _, skipped = read(save(tmp_path, ".jsonl", records))
    labels = [f"label {(label * 90)[:80]} is not a domain of the corpus" for label in ("l0", "l1")]
    assert skipped.counts == {labels[0]: 2, labels[1]: 1, "other reasons": 2}
    assert skipped.first["other reasons"].startswith("file.jsonl, row 2, byte ")


def test_own_files(tmp_path: Path) -> None:
    """Prevents a damaged document of the study's own corpus from being passed over."""
    path = pack(tmp_path / "code.jsonl.zst", line(0) + line(1))
    assert found(read_built(path), path.name) == [("d0", "code", "text 0", 0), ("d1", "code", "text 1", 1)]
    pack(path, line(0) + b"{\n" + line(1))
    sentence = rf"^code\.jsonl\.zst, row 1, byte {len(line(0))}: not JSON; delete .*code\.jsonl\.zst and run the rule"
    with pytest.raises(ReciteError, match=sentence):
        list(read_built(path))
