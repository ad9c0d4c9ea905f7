"""Rates against size in words and numbers."""

import pandas as pd

from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    return [_scaling(tables["scaling"]), _tests(tables["slope_tests"]), _predictions(tables["predictions"])]


def _scaling(table: pd.DataFrame) -> str:
    lines = [
        "## Rate against log10(parameters)\n",
        "| rows | family | models | slope (points per tenfold size) | interval | R² | q |",
    ]
    lines.append("|---|---|---:|---:|---|---:|---:|")
    for row in table.sort_values(["rows", "family"]).itertuples():
        interval = f"{100 * row.slope_low:.1f} to {100 * row.slope_high:.1f}"
        lines.append(
            f"| {row.rows} | {row.family} | {row.models} | {100 * row.slope:.1f} | {interval} "
            f"| {cells.decimals(row.r_squared)} | {cells.probability(row.q_value)} |"
        )
    return "\n".join(lines) + "\n"


def _tests(table: pd.DataFrame) -> str:
    lines = [
        f"One slope for all {row.families} families, {row.rows} rows: F({row.df_between}, {row.df_residual}) = "
        f"{row.f:.2f}, p = {cells.probability(row.p_value)}.\n"
        for row in table.itertuples()
    ]
    return "\n".join(lines)


def _predictions(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    lines = ["The largest model of a family from the line through its smaller ones:\n"]
    lines.append("| rows | model | observed | predicted | interval | difference (points) | interval |")
    lines.append("|---|---|---:|---:|---|---:|---|")
    lines += [
        f"| {row.rows} | {row.model} | {cells.share(row.observed)} | {cells.share(row.predicted)} "
        f"| {cells.between(row, 'predicted')} | {100 * row.difference:.1f} | {cells.between(row, 'difference')} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"
