"""Corpus files, read as streams of documents in constant memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard

from recite.errors import ReciteError

CHUNK_BYTES = 1 << 20


class Document(NamedTuple):
    """One document: its identifier, domain and text, and its line in the file, from 0."""

    id: str
    domain: str
    text: str
    row: int


def read_documents(path: Path) -> Iterator[Document]:
    """Documents of a `.jsonl.zst` file whose lines hold `id`, `domain` and `text`.

    Raises ReciteError, naming file and line, for a truncated frame, a line that is not JSON
    and a missing field. Blank lines are passed over.
    """
    for row, line in enumerate(_lines(path)):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            document = Document(fields["id"], fields["domain"], fields["text"], row)
        except ValueError as error:
            raise ReciteError(f"{path}, line {row + 1}: not JSON ({error}); mend or replace the file.") from None
        except (KeyError, TypeError) as error:
            raise ReciteError(f"{path}, line {row + 1}: field {error} is missing; mend or replace the file.") from None
        if not all(isinstance(value, str) for value in document[:3]):
            raise ReciteError(f"{path}, line {row + 1}: id, domain and text must be texts; mend or replace the file.")
        yield document


def _lines(path: Path) -> Iterator[bytes]:
    rest = b""
    for chunk in _decompressed(path):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _decompressed(path: Path) -> Iterator[bytes]:
    """Decompressed chunks of all frames; a file that ends within a frame is an error, not an end."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
    started = True  # a file of no bytes is cut as well
    try:
        with path.open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                while data:
                    yield decompressor.decompress(data)
                    started = not decompressor.eof
                    data = decompressor.unused_data if decompressor.eof else b""
                    if decompressor.eof:
                        decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
    except FileNotFoundError:
        raise ReciteError(f"{path} does not exist; run the rule that makes it again, or correct its path.") from None
    except zstandard.ZstdError as error:
        raise ReciteError(f"{path} is not a whole zstd file ({error}); delete it and fetch or make it again.") from None
    if started:
        raise ReciteError(f"{path} ends within a zstd frame: it is truncated; delete it and fetch or make it again.")
