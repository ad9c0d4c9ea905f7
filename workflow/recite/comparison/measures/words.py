"""How much each model has memorized by each measure that the study has: one line a model."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.report import cells
from recite.report.told import Told


class Measure(NamedTuple):
    """A column of the page's table: where its share stands, in the lines of a table that have these values."""

    words: str
    table: str
    column: str
    lines: Mapping[str, Any]


MEASURES = (
    Measure("greedy, verbatim", "rates", "rate", {}),
    Measure("near-verbatim (0.9)", "near_verbatim", "rate", {"alpha": 0, "tolerance": 0.1}),
    Measure(
        "extractable (n = 100, p = 0.5)",
        "extraction",
        "rate",
        {"alpha": 0, "scheme": "plain", "draws": 100, "probability": 0.5},
    ),
    Measure("corrected for predictability", "predictability", "corrected", {}),
)


def sections(told: Told) -> list[str]:
    """The section, where the study has two measures or more."""
    found = {measure.words: dict(_cells(told.tables, measure)) for measure in MEASURES}
    found = {words: of_models for words, of_models in found.items() if of_models}
    if len(found) < 2:
        return []
    lines = ["## Memorization by every measure\n"]
    lines.append(
        "Natural rows: recited greedily; recited but for a tenth of their tokens; met in a hundred draws with a "
        "probability of one half; and recited beyond what their predictability explains, as far as the study has them. "
        "A measure that was taken on the first rows of the sample is of these. Intervals in brackets, in percent:\n"
    )
    lines.append(f"| model | parameters | {' | '.join(found)} |")
    lines.append("|---|---:|" + "---|" * len(found))
    rates = told.tables["rates"]
    for row in rates[rates["domain"] == NATURAL].sort_values(["family", "parameters", "model"]).itertuples():
        shown = " | ".join(of_models.get(row.model, "–") for of_models in found.values())
        lines.append(f"| {row.model} | {row.parameters:,} | {shown} |")
    return ["\n".join(lines) + "\n"]


def _cells(tables: Mapping[str, pd.DataFrame], measure: Measure) -> Iterator[tuple[str, str]]:
    """Model -> its cell; nothing where the study has no such table or lines."""
    if measure.table not in tables:
        return
    table = tables[measure.table]
    for name, value in {"domain": NATURAL, **measure.lines}.items():
        table = table[table[name] == value]
    for line in table.itertuples():
        share = cells.share(getattr(line, measure.column))
        yield line.model, f"{share} [{cells.between(line, measure.column)}]"
