"""The comparison as one page that needs nothing else: figures beside each other, claims, numbers."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from recite.errors import ReciteError
from recite.report.compare import text
from recite.report.compare.comparison import Comparison
from recite.report.compare.numbers import largest
from recite.report.site.shell import render

FOLDER = Path(__file__).parent
MOST_LINES = 100
"""Differences beyond their interval that are shown."""
WIDEST = 900
"""Pixels of a picture's width: two beside each other fill a wide screen."""
COLOURS = 128


@dataclass(frozen=True)
class Pair:
    """A figure of both studies or of one: its pictures as data, "" where a study has none."""

    name: str
    a: str
    b: str


def build(found: Comparison) -> str:
    """The page as HTML; ReciteError where a picture is not whole."""
    names = dict.fromkeys([*found.a.figures, *found.b.figures])
    beyond = largest(found.numbers)
    return render(
        FOLDER / "compare.html.jinja",
        scripts=(),
        styles=[FOLDER / "compare.css"],
        found=found,
        text=text,
        figures=[Pair(name, *(_picture(study.figures.get(name)) for study in (found.a, found.b))) for name in names],
        beyond=list(beyond.head(MOST_LINES).itertuples()),
        left_out=max(0, len(beyond) - MOST_LINES),
    )


def _picture(path: Path | None) -> str:
    """A picture as base64 of a PNG of bounded size: at most WIDEST pixels wide, of at most COLOURS colours."""
    if path is None:
        return ""
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # Pillow raises all of these
        raise ReciteError(f"{path} is no whole PNG picture; draw it or copy it again.") from None
    picture.thumbnail((WIDEST, 4 * WIDEST))
    content = io.BytesIO()
    picture.quantize(COLOURS).save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()
