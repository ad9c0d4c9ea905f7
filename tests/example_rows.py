"""Rows to read, with given texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recite.outcomes.examples import EXAMPLES

STEPS = 4


def example(row_id: int, **changes: Any) -> dict[str, Any]:
    """A memorized row, but for what is changed; hits follow from `hit`."""
    row: dict[str, Any] = {
        "row_id": row_id,
        "sequence_id": row_id,
        "model": "pythia-s",
        "family": "pythia",
        "parameters": 1000,
        "domain": "code",
        "class": "memorized",
        "place": 0,
        "count": 16,
        "counted": "planted",
        "document_id": f"d{row_id}",
        "source_file": "a/b.py",
        "source_row": 3,
        "window_start": 0,
        "context": ["def ", "f", "(x", "):"],
        "continuation": ["\n", "    return", " x", "\n"],
        "hit": [True] * STEPS,
        "masked": 0,
    } | changes
    row.setdefault("generated", row["continuation"])
    row["hits"] = sum(row["hit"])
    row["first_mismatch"] = [*row["hit"], False].index(False)
    return row


def write_examples(study: Path, rows: Sequence[dict[str, Any]]) -> list[Path]:
    """The files of a study's rows to read, one a model."""
    models = sorted({row["model"] for row in rows})
    paths = [study / f"examples/{model}.parquet" for model in models]
    for model, path in zip(models, paths, strict=True):
        EXAMPLES.write_lines(path, [row for row in rows if row["model"] == model], {"options": {}})
    return paths
