"""What a figure's file shows, whatever program saved it last: pixels, a drawing's elements, a table's cells."""

import csv
import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image

LOSSLESS = ("PNG", "TIFF", "WEBP", "BMP")
DRAWING = "{http://www.w3.org/2000/svg}svg"
METADATA = "{http://www.w3.org/2000/svg}metadata"
ENTITY = "<!ENTITY"
"""No figure of ours has one, and expanding them may take all memory."""


def shown(path: Path) -> Any:
    """What a file shows, to be compared with what another does: alike are pictures that are the same pixel for pixel,
    the same drawings and the same tables.

    Left out is what a program writes anew when it saves: packing, metadata, the order of attributes, white space
    between elements, line ends. None for a file that is none of the three.
    """
    return _pixels(path) or _drawing(path) or _cells(path)


def _pixels(path: Path) -> tuple[tuple[int, int], bytes] | None:
    """Size and colours of a picture that is stored without loss; None for what is none, or moves."""
    try:
        with Image.open(path, formats=LOSSLESS) as picture:
            if getattr(picture, "n_frames", 1) > 1:
                return None
            return picture.size, picture.convert("RGBA").tobytes()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # Pillow raises all of these
        return None


def _drawing(path: Path) -> str | None:
    """The elements of an SVG in canonical form (W3C's C14N 2.0), without its metadata."""
    try:
        text = path.read_bytes().decode()
        if ENTITY in text or ElementTree.fromstring(text).tag != DRAWING:
            return None
        return ElementTree.canonicalize(text, strip_text=True, rewrite_prefixes=True, exclude_tags=[METADATA])
    except (ValueError, ElementTree.ParseError):
        return None


def _cells(path: Path) -> list[list[str]] | None:
    """The cells of a table; None for what is no text, or empty."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row] or None
    except (UnicodeDecodeError, csv.Error):
        return None
