"""Family signatures in words and numbers."""

import pandas as pd

from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    return [_signatures(tables["signature_tests"])] if "signature_tests" in tables else []


def _signatures(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    lines = [
        "## Family signatures\n",
        "Correlation of two models' profiles over layers, and whether it tells the family:\n",
    ]
    lines.append(
        "| measure | models | families | within | between | q | nearest is of the family | interval | chance | p |"
    )
    lines.append("|---|---:|---:|---:|---:|---:|---:|---|---:|---:|")
    lines += [
        f"| {row.measure} | {row.models} | {row.families} | {row.within:.2f} | {row.between:.2f} "
        f"| {cells.probability(row.q_value)} | {row.identified} of {row.asked} | {cells.between(row, 'accuracy')} "
        f"| {cells.share(row.chance)} | {cells.probability(row.accuracy_p_value)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"
