"""Compressibility in words and numbers."""

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    return [_compressibility(tables["compressibility"])] if "compressibility" in tables else []


def _compressibility(table: pd.DataFrame) -> str:
    table = table[table["domain"] == NATURAL]
    if table.empty:
        return ""
    lines = ["## Compressibility\n", "Natural rows that are recited whole, and how much of their contexts they need:\n"]
    lines.append("| model | rows | texts | mean ratio | interval | half suffices | interval | not monotone |")
    lines.append("|---|---:|---:|---:|---|---:|---|---:|")
    lines += [
        f"| {row.model} | {row.n} | {row.distinct} | {cells.share(row.mean_ratio)} "
        f"| {cells.between(row, 'mean_ratio')} | {cells.share(row.short)} | {cells.between(row, 'short')} "
        f"| {cells.share(row.non_monotone)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"
