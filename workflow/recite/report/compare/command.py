"""What `recite compare` does: from two names on the command line to text, JSON and a page."""

import json
from pathlib import Path

from recite.files import atomic
from recite.report.compare.comparison import compare
from recite.report.compare.page import build
from recite.report.compare.text import as_json, as_text


def compare_studies(one: str, other: str, as_data: bool, page: Path | None) -> str:
    """What is printed of two studies; the page is written too if it is named."""
    found = compare(one, other)
    if page is not None:
        text = build(found)
        with atomic(page) as temporary:
            temporary.write_text(text, encoding="utf-8")
    if as_data:
        return json.dumps(as_json(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return as_text(found)
