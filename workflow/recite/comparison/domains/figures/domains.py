"""Memorization rate by domain, the largest model of each family."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style
from recite.report.domain_rows import domain_rows


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row per natural domain, structural ones first; a point with its interval per family."""
    rates = tables["rates"]
    table = style.largest(rates[~rates["kind"].isin(["planted", "held_out", "mixed"])])
    kinds = table.drop_duplicates("domain").sort_values(["kind", "domain"], ascending=[False, True])
    rows = domain_rows(table, kinds)
    families = style.families(table)
    colours = style.colours(families)
    figure, axes = plt.subplots(figsize=(7.2, rows.inches + 1.4))
    for family, marker in zip(families, style.MARKERS, strict=False):
        part = table[table["family"] == family]
        errors = [part["rate"] - part["rate_low"], part["rate_high"] - part["rate"]]
        label = f"{style.name(family)}, {style.millions(part['parameters'].iloc[0])}"
        axes.errorbar(
            part["rate"],
            rows.points[part.index],
            xerr=errors,
            fmt=marker,
            color=colours[family],
            label=label,
            markersize=4,
            capsize=2,
            linewidth=1,
        )
    rows.name(axes)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlim(left=-0.02 * axes.get_xlim()[1])
    axes.set_xlabel(f"memorized rows, {style.rows_note(table)} a point")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, table
