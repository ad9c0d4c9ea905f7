"""How much every attention head matters: heat maps over layers and heads."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style

STATISTICS = {
    "hits_drop": "drop of the score M, points",
    "log_probability_drop": "drop of the true continuation's\nlog-probability, nats per token",
}
LAYER_LABELS, HEAD_LABELS = 12, 16
"""Labels for which a panel has room, as its height grows with the layers."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row for each family's largest model, a column per importance, natural rows; the last layer on top."""
    table = style.largest(tables["heads"])
    table = table[(table["rows"] == "natural") & (table["domain"] == "all")]
    if table.empty:
        return style.blank("No natural rows."), table
    keys = ["family", "parameters", "model"]
    models = [part for family in style.families(table) for _, part in table[table["family"] == family].groupby(keys)]
    layers = [min(_layers(part), 32) for part in models]
    size = (7.2, 0.9 + sum(0.75 + 0.1 * count for count in layers))
    figure, panels = plt.subplots(
        len(models), 2, figsize=size, squeeze=False, height_ratios=[0.75 + 0.1 * count for count in layers]
    )
    for column, (statistic, words) in zip(panels.T, STATISTICS.items(), strict=True):
        bound = float(table[statistic].abs().max()) or 1.0
        for axes, part in zip(column, models, strict=True):
            matrix = _matrix(part, statistic)
            every = style.every_for(len(matrix), LAYER_LABELS), style.every_for(len(matrix.columns), HEAD_LABELS)
            style.heat_map(axes, matrix, every=every, vmin=-bound, vmax=bound, cmap="vlag", rasterized=True)
            axes.set_facecolor("0.8")
            axes.invert_yaxis()
            axes.set_ylabel("layer")
            name = f"{style.name(part['family'].iloc[0])}, {style.millions(part['parameters'].iloc[0])}"
            axes.set_title(f"{name}: {style.rows_note(part)}", fontsize=8)
        column[-1].set_xlabel("head")
        colours = figure.colorbar(column[0].collections[0], ax=list(column), location="bottom", shrink=0.8, aspect=30)
        colours.set_label(words)
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
