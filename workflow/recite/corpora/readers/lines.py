"""Lines of plain, gzip and zstd files, with their places in the uncompressed text."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import zstandard

from recite.errors import ReciteError

CHUNK_BYTES = 1 << 20
SLICE_BYTES = 1 << 11
"""Compressed bytes that are decompressed at once: the result is held whole, and zstd can make 32,768 times as many."""
LONGEST_LINE = 1 << 28
GZIP_BITS = 31
"""zlib's code for gzip members with any window."""


def read_lines(path: Path, name: str) -> Iterator[tuple[int, int, bytes]]:
    """Row from 0, byte offset in the uncompressed text and content, without its end, of each line.

    Raises ReciteError for a line above LONGEST_LINE bytes, and for a compressed file that is empty,
    truncated, damaged, of another format, or followed by other bytes.
    """
    row = offset = 0
    pending: list[bytes] = []  # pieces of a line, joined once: a long line is not copied for every chunk
    held = 0
    for chunk in _chunks(path, name):
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*pending, lines[0]))
            pending, held = [], 0
            for line in lines:
                size = len(line)
                if size > LONGEST_LINE:
                    raise _too_long(name, row, offset)
                yield row, offset, line
                row += 1
                offset += size + 1
        pending.append(rest)
        held += len(rest)
        if held > LONGEST_LINE:
            raise _too_long(name, row, offset)
    if held:
        yield row, offset, b"".join(pending)


def _too_long(name: str, row: int, offset: int) -> ReciteError:
    return ReciteError(
        f"{name}, row {row}, byte {offset}: a line of more than {LONGEST_LINE} bytes; "
        "make the file again with one document per line, or split the document."
    )


def _chunks(path: Path, name: str) -> Iterator[bytes]:
    try:
        yield from _text(path, name)
    except OSError as error:
        raise ReciteError(f"{name} cannot be read ({error.strerror}); mend its rights or its disk.") from None


def _text(path: Path, name: str) -> Iterator[bytes]:
    suffix = PurePosixPath(name.lower()).suffix
    with path.open("rb", buffering=CHUNK_BYTES) as file:
        if suffix in (".zst", ".zstd"):
            yield from _decompressed(file, name, zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj)
        elif suffix == ".gz":
            yield from _decompressed(file, name, lambda: zlib.decompressobj(GZIP_BITS))
        else:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


def _decompressed(file: BinaryIO, name: str, start: Callable[[], Any]) -> Iterator[bytes]:
    """Text of all frames; a file that ends within a frame is an error, not an end.

    Behind a gzip member may stand zeros up to the end of a block, as tapes have them; gzip itself reads over them.
    """
    kind, padding = ("gzip member", b"\0") if name.lower().endswith(".gz") else ("zstd frame", b"")
    frame = start()
    within = between = False
    offset = 0
    try:
        while data := file.read(SLICE_BYTES):
            while data := data.lstrip(padding) if between else data:
                text = frame.decompress(data)
                within, between = not frame.eof, frame.eof
                data = frame.unused_data
                if not within:
                    frame = start()
                offset += len(text)
                yield text
    except (zstandard.ZstdError, zlib.error) as error:
        raise ReciteError(
            f"{name}: no {kind} after byte {offset} of its text ({error}); delete the file and fetch or make it again."
        ) from None
    if not file.tell():
        raise ReciteError(f"{name} is empty, without even a {kind}; delete it and fetch or make it again.")
    if within:
        raise ReciteError(
            f"{name} ends within a {kind}, at byte {offset} of its text: it is truncated; "
            "delete it and fetch or make it again."
        )
