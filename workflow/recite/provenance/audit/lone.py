"""A figure's file on its own: what it says of itself, and what an audit of it needs."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from recite.errors import ReciteError
from recite.files import sha256_file

DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"
PNG = b"\x89PNG\r\n\x1a\n"


def read_origin(path: Path) -> dict[str, Any] | None:
    """What a figure of a study holds on its origin: study, figure, code, tables -> digest. None where it holds none."""
    content = path.read_bytes()
    text = _png_text(content) if content.startswith(PNG) else _svg_text(content.decode(errors="replace"))
    try:
        origin = json.loads(text or "null")
    except ValueError:
        return None
    return origin if isinstance(origin, dict) and origin.keys() >= {"study", "figure", "code", "tables"} else None


def _png_text(content: bytes) -> str | None:
    """The text chunk `Description`; PNG specification, 11.3.4.3 tEXt."""
    at = len(PNG)
    while at + 8 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        key, _, text = content[at + 8 : at + 8 + length].partition(b"\0")
        if kind == b"tEXt" and key == b"Description":
            return text.decode("latin-1")
        at += length + 12
    return None


def _svg_text(content: str) -> str | None:
    if re.search(r"<!ENTITY", content):  # no figure of ours has one, and expanding them may take all memory
        return None
    try:
        return ElementTree.fromstring(content).findtext(f".//{DESCRIPTION}")
    except ElementTree.ParseError:
        return None


def what_it_needs(path: Path) -> str:
    """What a figure's file from elsewhere says of itself, and what an audit of it needs; ReciteError if nothing."""
    if not path.is_file():
        raise ReciteError(f"{path} is no file and no figure of this study; name a figure or a file.")
    origin, digest = read_origin(path), sha256_file(path)
    if origin is None:
        raise ReciteError(
            f"{path} (sha256 {digest}) does not say what it was drawn from, and is and shows no file of this study: it "
            "is of another study, or of none, or what it shows was changed; ask for the study's file."
        )
    tables = "".join(f"  tables/{name}.parquet  sha256 {sha256}\n" for name, sha256 in sorted(origin["tables"].items()))
    return (
        f"{path}  sha256 {digest}\nIt says: figure {origin['figure']} of study {origin['study']}, "
        f"drawn by code {origin['code']} from\n{tables}"
        f"To audit it: get the checkout at its commit and results/{origin['study']}/ with its records/, then say\n"
        f"  recite audit {path} --configfile <the study's config>\n"
    )
