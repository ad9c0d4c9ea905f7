"""Verdicts in words and numbers."""

import math

import pandas as pd

from recite.report.told import Told


def opening(told: Told) -> str:
    """The ledger."""
    return _claims(told.tables["claims"])


def sections(told: Told) -> list[str]:
    """No more than the opening."""
    return []


def _claims(table: pd.DataFrame) -> str:
    lines = ["## The paper's claims\n", "| claim | statistic | value | interval | rule | verdict |"]
    lines.append("|---|---|---:|---|---|---|")
    for row in table.itertuples():
        numbers = "– | –" if math.isnan(row.value) else f"{row.value:.3g} | {row.low:.3g} to {row.high:.3g}"
        linked = f"[{row.text}](figures/{row.figure}.png)"
        lines.append(f"| {linked} | {row.statistic} | {numbers} | {row.rule} | {row.verdict} |")
    return "\n".join(lines) + "\n"
