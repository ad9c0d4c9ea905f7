"""Files that the page holds to be saved: a figure's drawing and the numbers behind it, packed by gzip."""

import base64
import gzip
from pathlib import Path
from typing import NamedTuple

TYPES = {".svg": "image/svg+xml", ".csv": "text/csv"}


class Packed(NamedTuple):
    """A file's name, its media type, its size in words, and its bytes by gzip as base64."""

    name: str
    type: str
    size: str
    gzip: str

    @property
    def kind(self) -> str:
        return self.name.rpartition(".")[2].upper()


def pack(path: Path) -> Packed:
    """A file to be saved from the page; the same bytes each time."""
    content = path.read_bytes()
    packed = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
    return Packed(path.name, TYPES[path.suffix], f"{max(1, round(len(content) / 1000)):,} kB", packed)
