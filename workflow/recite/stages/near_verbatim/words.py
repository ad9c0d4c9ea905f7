"""Near-verbatim recall in words and numbers."""

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The section, where the study has the table."""
    return [_recall(told.tables["near_verbatim"])] if "near_verbatim" in told.tables else []


def _recall(table: pd.DataFrame) -> str:
    table = table[table["domain"] == NATURAL]
    if table.empty:
        return ""
    tolerances = sorted(table["tolerance"].unique())
    lines = ["## Near-verbatim recall\n", "Natural rows that are recalled within so many edits of their tokens:\n"]
    heads = [f"{100 * tolerance:g}%" for tolerance in tolerances]
    lines.append(f"| model | rows | texts | {' | '.join(heads)} | interval | mean distance | mean longest run |")
    lines.append("|---|---:|---:|" + "---:|" * len(heads) + "---|---:|---:|")
    for model, part in table.groupby("model"):
        by_tolerance = {line.tolerance: line for line in part.itertuples()}
        last = by_tolerance[tolerances[-1]]
        rates = " | ".join(cells.share(by_tolerance[tolerance].rate) for tolerance in tolerances)
        lines.append(
            f"| {model} | {last.n} | {last.distinct} | {rates} | {cells.interval(last)} "
            f"| {cells.share(last.mean_distance)} | {cells.share(last.mean_run)} |"
        )
    return "\n".join(lines) + "\n"
