"""What a head's effect must be for so many rows to show it."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style
from recite.stages.heads.shown import preferred

MEASURES = {
    "hits": (100, "drop of the score M, points"),
    "log_probability": (1, "drop of log-probability, nats per token"),
}
DODGE = 0.22
"""How far apart the numbers of rows stand."""
MARKERS = "oDs"


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per measure, a line for each family's largest model, a point for each number of rows."""
    table = style.largest(tables["power"])
    table = preferred(table[(table["rows"] == "natural") & (table["domain"] == "all")])
    if table.empty:
        return style.blank("No natural rows of texts enough."), table
    models = [
        part for family in style.families(table) for _, part in table[table["family"] == family].groupby("model")
    ][::-1]
    ways = [("this study's", table["own"])]
    ways += [(f"{n:,}", (table["n"] == n) & ~table["own"]) for n in sorted(table.loc[~table["own"], "n"].unique())]
    shades = style.shades(range(len(ways)))
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 0.42 * len(models) + 1.7), sharey=True)
    for axes, (measure, (scale, words)) in zip(panels, MEASURES.items(), strict=True):
        for place, (label, chosen) in enumerate(ways):
            for y, part in enumerate(models):
                line = part[chosen.loc[part.index] & (part["measure"] == measure)].iloc[0]
                median = scale * line["median"]
                ends = [[median - scale * line["smallest"]], [scale * line["largest"] - median]]
                axes.errorbar(
                    [median],
                    [y + DODGE * (1 - place)],
                    xerr=np.clip(ends, 0, None),
                    color=shades[place],
                    marker=MARKERS[place % len(MARKERS)],
                    linestyle="none",
                    label=f"{label} rows" if not y else None,
                    markersize=4,
                    capsize=2,
                    linewidth=1,
                )
        _axis_from_zero(axes, _least(table, measure) * scale)
        axes.set_xlabel(f"smallest effect seen,\n{words}")
    panels[0].set_ylim(-0.5, len(models) - 0.5)
    panels[0].set_yticks(range(len(models)), [_name(part) for part in models])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(ways))
    return figure, table


def _axis_from_zero(axes: Axes, least: float) -> None:
    """An axis that is linear from 0 to `least` and logarithmic above it, with no label between these."""
    axes.set_xscale("symlog", linthresh=least)
    axes.set_xlim(-least / 10, max(axes.get_xlim()[1], 1.5 * least))
    high = math.ceil(math.log10(axes.get_xlim()[1]))
    axes.set_xticks([0, *(10.0**power for power in range(math.ceil(math.log10(least)), high))])


def _least(table: pd.DataFrame, measure: str) -> float:
    """The smallest median: below it the axis is linear, so that heads without any variance can stand at 0."""
    medians = table.loc[(table["measure"] == measure) & (table["median"] > 0), "median"]
    return float(medians.min()) if len(medians) else 1.0


def _name(table: pd.DataFrame) -> str:
    first = table[table["own"]].iloc[0]
    name = f"{style.name(first['family'])}, {style.millions(first['parameters'])}"
    return f"{name}\n{style.rows_note(table[table['own']].assign(distinct=table['measured_distinct']))}"
