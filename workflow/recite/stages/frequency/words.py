"""Corpus frequency in words and numbers."""

import pandas as pd

from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    if "thresholds" not in tables:
        return []
    return [_thresholds(tables["thresholds"]), _countings(tables["countings"])]


def _thresholds(table: pd.DataFrame) -> str:
    table = table[(table["measure"] == "sequence") & (table["counting"] == table["counting"].iloc[0])]
    lines = [
        "## Corpus frequency\n",
        f"Count of the sequence, by {table['counting'].iloc[0]}, at which the rate has left its floor:\n",
    ]
    lines.append("| model | rows | texts | floor | threshold | interval | resamples that reach it |")
    lines.append("|---|---|---:|---:|---:|---|---:|")
    lines += [
        f"| {row.model} | {row.rows} | {row.distinct} | {cells.share(row.floor)} | {cells.count(row.threshold)} "
        f"| {cells.count(row.threshold_low)} to {cells.count(row.threshold_high)} | {cells.share(row.reached)} |"
        for row in table.sort_values(["rows", "family", "parameters"]).itertuples()
    ]
    return "\n".join(lines) + "\n"


def _countings(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    lines = [f"The same texts counted otherwise than by {table['reference'].iloc[0]}:\n"]
    lines.append(
        "| family | counted by | tokens | span | texts | equal | not found | bias (octaves) | rank correlation |"
    )
    lines.append("|---|---|---|---|---:|---:|---:|---|---|")
    lines += [
        f"| {row.family} | {row.counting} | {row.tokens or 'bytes'} | {row.measure} | {row.texts} "
        f"| {cells.share(row.equal)} | {cells.share(row.missed)} "
        f"| {cells.within(row.bias, row.bias_low, row.bias_high)} "
        f"| {cells.within(row.correlation, row.correlation_low, row.correlation_high)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"
