"""Intrinsic dimension in words and numbers."""

import math

import pandas as pd

from recite.report import cells
from recite.report.told import Told

NAMES = {"maximum_likelihood": "maximum likelihood", "two_nn": "TwoNN"}


def sections(told: Told) -> list[str]:
    """The section, where the study has the tables."""
    tables = told.tables
    if "dimension" not in tables or tables["dimension"].empty:
        return []
    return [_differences(tables["dimension_differences"]) + _known(tables["dimension_known"], tables["dimension"])]


def _differences(table: pd.DataFrame) -> str:
    lines = [
        "## Intrinsic dimension\n",
        "Dimension of the residual stream, mean over layers, of memorized and of as many unmemorized texts, with "
        "intervals by half samples:\n",
        "| model | rows | at the end of the | estimator | texts | memorized | unmemorized | difference |",
        "|---|---|---|---|---:|---|---|---|",
    ]
    for line in table.sort_values(["family", "parameters", "rows", "place", "estimator"]).itertuples():
        told = " | ".join(_within(line, name) for name in ("memorized", "unmemorized", "difference"))
        lines.append(f"| {line.model} | {line.rows} | {line.place} | {NAMES[line.estimator]} | {line.n} | {told} |")
    if table.empty:
        lines = [lines[0], "No model has both classes with texts enough to be compared.\n"]
    return "\n".join(lines) + "\n"


def _within(line: object, name: str) -> str:
    value, low, high = (getattr(line, f"{name}{end}") for end in ("", "_low", "_high"))
    return "–" if math.isnan(value) else cells.within(value, low, high)


def _known(known: pd.DataFrame, table: pd.DataFrame) -> str:
    """How far the estimators are off with so few points."""
    n = int(table["n"].min())
    part = known[(known["n"] == n) & (known["manifold"] == "ball") & known["dimension"].isin([4, 16, 64])]
    told = [
        f"{NAMES[name]} {', '.join(f'{line.estimate:.1f} for {line.dimension}' for line in of_one.itertuples())}"
        for name, of_one in part.groupby("estimator")
    ]
    return (
        f"\nOf {n} points, the fewest that a class has, of a uniform ball the estimators give: {'; '.join(told)}. "
        "Estimates of other numbers of points are not comparable; column `as_ball` of table `dimension` is.\n"
    )
