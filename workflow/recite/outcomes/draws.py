"""What claims are taken from: numbers of single models as seen and under the resamples that all models share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import MODEL

DRAWS = Table(
    "draws",
    (
        Column("statistic", pa.string(), "", "what the numbers are"),
        *MODEL,
        Column("labels", pa.list_(pa.string()), "", "what each of the numbers is of: domains, layers, bins or none"),
        Column(
            "drawn",
            pa.list_(pa.float64()),
            "",
            "the numbers as seen, then under every resample; NaN where a resample has no such row",
            finite=False,
        ),
    ),
)


class Draw(NamedTuple):
    """Numbers of one model: values (1 + resamples, labels), as seen and then under resamples."""

    model: str
    family: str
    parameters: int
    labels: tuple[str, ...]
    values: np.ndarray


Draws = Mapping[str, Sequence[Draw]]
"""Statistic -> the models that it was taken of, by family, size and name."""


def draw_line(
    who: Mapping[str, Any], statistic: str, values: np.ndarray, labels: Sequence[str] = ("",)
) -> dict[str, Any]:
    """A line of the table: `values` (1 + resamples,), or (1 + resamples, labels)."""
    about = {name: who[name] for name in ("model", "family", "parameters")}
    return {"statistic": statistic} | about | {"labels": list(labels), "drawn": values.ravel()}


def read_draws(paths: Sequence[Path]) -> Draws:
    """All numbers of some files."""
    found: dict[str, list[Draw]] = {}
    for path in paths:
        for line in DRAWS.read(path).to_pylist():
            values = np.array(line["drawn"]).reshape(-1, len(line["labels"]))
            found.setdefault(line["statistic"], []).append(
                Draw(line["model"], line["family"], line["parameters"], tuple(line["labels"]), values)
            )
    return {
        name: sorted(draws, key=lambda draw: (draw.family, draw.parameters, draw.model))
        for name, draws in found.items()
    }
