"""Recipe against architecture in words and numbers."""

import math

import pandas as pd

from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    return [_factorial(tables["factorial"])] if "factorial" in tables else []


def _factorial(table: pd.DataFrame) -> str:
    lines = ["## Recipe or architecture\n", "Share of the variance of profiles over layers, beyond chance:\n"]
    lines.append("| measure | profile | factor | models | share | interval | p |")
    lines.append("|---|---|---|---:|---:|---|---:|")
    lines += [
        f"| {row.measure} | {row.profile} | {row.factor} | {row.models} | {cells.share(row.share)} "
        f"| {cells.between(row, 'share')} | {'–' if math.isnan(row.p_value) else cells.probability(row.p_value)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"
