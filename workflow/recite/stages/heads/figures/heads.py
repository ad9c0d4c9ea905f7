"""How much every attention head matters: heat maps over layers and heads."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style
from recite.stages.heads.shown import contrasted

STATISTICS = {
    "hits_drop": "drop of the score M, points",
    "log_probability_drop": "drop of the true continuation's\nlog-probability, nats per token",
}
LAYER_LABELS, HEAD_LABELS = 12, 16
"""Labels for which a panel has room, as its height grows with the layers."""
TALLEST, WIDTH = 24, 52
"""Layers beyond which a panel grows no higher, and characters of its title."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row for each family's largest model, a column per importance and group of natural rows; the last layer on top.

    Unmemorized rows have no hits to lose: they have no column of these.
    """
    table = style.largest(tables["heads"])
    table = table[(table["rows"] == "natural") & (table["domain"] == "all")]
    if table.empty:
        return style.blank("No natural rows."), table
    groups = contrasted(table)
    table = table[table["group"].isin(groups)]
    shown = [(name, group) for name in STATISTICS for group in groups if (name, group) != ("hits_drop", "unmemorized")]
    keys = ["family", "parameters", "model"]
    models = [part for family in style.families(table) for _, part in table[table["family"] == family].groupby(keys)]
    layers = [min(_layers(part), TALLEST) for part in models]
    heights = [0.75 + 0.1 * count for count in layers]
    size = (3.6 * len(shown), 0.9 + sum(heights))
    figure, panels = plt.subplots(len(models), len(shown), figsize=size, squeeze=False, height_ratios=heights)
    for column, (statistic, group) in zip(panels.T, shown, strict=True):
        bound = float(table[statistic].abs().max()) or 1.0
        for axes, whole in zip(column, models, strict=True):
            part = whole[whole["group"] == group]
            if part.empty:
                axes.set_axis_off()
                continue
            matrix = _matrix(part, statistic)
            every = style.every_for(len(matrix), LAYER_LABELS), style.every_for(len(matrix.columns), HEAD_LABELS)
            style.heat_map(axes, matrix, every=every, vmin=-bound, vmax=bound, cmap="vlag", rasterized=True)
            axes.set_facecolor("0.8")
            axes.invert_yaxis()
            axes.set_ylabel("layer")
            name = f"{style.name(part['family'].iloc[0])}, {style.millions(part['parameters'].iloc[0])}"
            whose, rows = f"{name}: " if group == "all" else f"{name}: {group}, ", style.rows_note(part)
            axes.set_title(f"{whose}{rows}" if len(whose + rows) <= WIDTH else f"{whose}\n{rows}", fontsize=8)
        column[-1].set_xlabel("head")
        drawn = next(axes.collections[0] for axes in column if axes.collections)
        colours = figure.colorbar(
            drawn, ax=list(column), location="bottom", shrink=0.8, aspect=30, fraction=1 / size[1]
        )
        colours.set_label(STATISTICS[statistic])
        if statistic == "hits_drop":
            colours.formatter = PercentFormatter(1, symbol="")
            colours.update_ticks()
    return figure, table


def _layers(table: pd.DataFrame) -> int:
    """Layers of the model, of which some may have no ablated head."""
    return round(float(((table["layer"] + 1) / table["depth"]).iloc[0]))


def _matrix(table: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """The statistic by layer and head; empty where a head was not ablated."""
    layers = _layers(table)
    matrix = table.pivot_table(index="layer", columns="head", values=statistic)
    return matrix.reindex(index=range(layers), columns=range(int(table["heads"].iloc[0]) // layers))
