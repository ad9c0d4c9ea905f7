"""Counterfactual memorization in words and numbers."""

import math

import pandas as pd

from recite.outcomes.frame import PLANTED
from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The section, where the study has the table."""
    tables = told.tables
    if "counterfactual" not in tables:
        return []
    table = tables["counterfactual"]
    return [_differences(table) + _correction(table, tables.get("predictability"))]


def _differences(table: pd.DataFrame) -> str:
    first = table.iloc[0]
    lines = [
        "## Counterfactual memorization\n",
        f"Siblings of {first['model']}, two for each of {first['seeds']} seeds, each trained on half of the texts: "
        "mean score and recited rows of texts in the training, the same of the same texts left out; the difference of "
        "the mean scores, and how far single seeds' lie apart. Each saw half of the rows that the model itself sees.\n",
        "| rows | texts | M in | M out | difference | apart | recited in | interval | recited out | interval |",
        "|---|---:|---:|---:|---|---:|---:|---|---:|---|",
    ]
    for row in table.itertuples():
        rows = f"x{row.copies}" if row.kind == PLANTED else row.domain
        difference = f"{row.difference:.3f} [{row.difference_low:.3f}, {row.difference_high:.3f}]"
        rates = " | ".join(
            f"{cells.share(getattr(row, name))} | {cells.between(row, name)}" for name in ("rate_in", "rate_out")
        )
        lines.append(
            f"| {rows} | {row.distinct} | {row.mean_in:.3f} | {row.mean_out:.3f} | {difference} | {row.spread:.3f} "
            f"| {rates} |"
        )
    return "\n".join(lines) + "\n"


def _correction(table: pd.DataFrame, cheap: pd.DataFrame | None) -> str:
    """What is recited without training, as a share, beside what unrelated contexts explain of the model itself."""
    if cheap is None or not cheap["model"].isin(table["model"]).any():
        return ""
    explained = cheap[cheap["model"].isin(table["model"])].set_index("domain")["explained"]
    lines = [
        "\nThe truth that cheap corrections are held against: of what is recited of texts in the training, the share "
        "that is recited of them left out; and the share of the model's own recited rows that unrelated contexts "
        "explain (*Memorized or predictable*, 1 - corrected / recited).\n",
        "| rows | out / in | explained |",
        "|---|---:|---:|",
    ]
    for row in table[table["domain"].isin(explained.index) & (table["kind"] != PLANTED)].itertuples():
        ratio = row.rate_out / row.rate_in if row.rate_in else math.nan
        lines.append(f"| {row.domain} | {cells.share(ratio)} | {cells.share(explained[row.domain])} |")
    return "\n".join(lines) + "\n"
