"""The keys of a GGUF file, and names and shapes of its tensors, by the standard library alone: plans want them at once.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Files of big-endian machines are not read.
"""

import mmap
import struct
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from recite.errors import ReciteError
from recite.sources.pointers import refuse_pointer

MAGIC = b"GGUF"
FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Type of a value -> its format for `struct`."""
STRING, ARRAY = 8, 9
SENTENCEPIECE = "llama"
"""What GGUF calls a tokenizer of SentencePiece's."""


class Length(int):
    """How many values a key has that was stepped over."""


class GgufTensor(NamedTuple):
    """A tensor's shape, the outermost size first, and the number of its type."""

    shape: tuple[int, ...]
    type: int


class GgufKeys(NamedTuple):
    """Keys with their values, lists only where they were asked for and else a Length; tensors by name."""

    keys: dict[str, Any]
    tensors: dict[str, GgufTensor]


def read_keys(path: Path, lists: Collection[str] = ()) -> GgufKeys:
    """Keys and tensors of a GGUF file, with the values of some lists; ReciteError if it is not there or not whole."""
    if not path.is_file():
        raise ReciteError(f"{path} is not there; put the GGUF file there, or name another.")
    refuse_pointer(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Walk(content).header(lists)
    except (ValueError, struct.error, KeyError, OverflowError, IndexError, MemoryError):
        why = "its header is cut off or damaged"
    except OSError as error:
        why = str(error.strerror)
    raise ReciteError(f"{path} cannot be read as a GGUF file ({why}); fetch or convert it again.")


def kind_of_tokenizer(keys: Mapping[str, Any]) -> str:
    """The kind of tokenizer that a file's keys tell of, as GGUF calls it; "" for none."""
    return str(keys.get("tokenizer.ggml.model", ""))


class _Walk:
    """A place in a file that goes on with everything read."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.at = content, 0

    def header(self, lists: Collection[str]) -> GgufKeys:
        """All of it, from the first byte to where the tensors' data begin."""
        magic, self.at = self.content[:4], 4
        version = self.number("I")
        if magic != MAGIC or version not in (2, 3):
            raise ValueError("no GGUF file")
        tensors, keys = self.number("Q"), self.number("Q")
        found = dict(self.pair(lists) for _ in range(keys))
        return GgufKeys(found, dict(self.tensor() for _ in range(tensors)))

    def number(self, kind: str) -> Any:
        (value,) = struct.unpack_from(f"<{kind}", self.content, self.at)
        self.at += struct.calcsize(f"<{kind}")
        return value

    def text(self) -> str:
        return self.bytes().decode()

    def bytes(self) -> bytes:
        size = self.number("Q")
        self.at += size
        if self.at > len(self.content):
            raise ValueError("cut off")
        return self.content[self.at - size : self.at]

    def pair(self, lists: Collection[str]) -> tuple[str, Any]:
        """A key and its value."""
        name, kind = self.text(), self.number("I")
        if kind != ARRAY:
            return name, self.text() if kind == STRING else self.number(FORMATS[kind])
        kind, count = self.number("I"), self.number("Q")
        if kind != STRING:
            form = f"<{count}{FORMATS[kind]}"
            values = struct.unpack_from(form, self.content, self.at) if name in lists else ()
            self.at += struct.calcsize(form)
        else:
            read: Callable[[], Any] = self.text if name in lists else self.skip
            values = tuple(read() for _ in range(count))
        return name, list(values) if name in lists else Length(count)

    def skip(self) -> None:
        """Step over a text; a vocabulary has some 100,000 of them."""
        self.at += 8 + _SIZE.unpack_from(self.content, self.at)[0]

    def tensor(self) -> tuple[str, GgufTensor]:
        name, dimensions = self.text(), self.number("I")
        shape = tuple(self.number("Q") for _ in range(dimensions))
        kind, _ = self.number("I"), self.number("Q")
        return name, GgufTensor(shape[::-1], kind)


_SIZE = struct.Struct("<Q")
