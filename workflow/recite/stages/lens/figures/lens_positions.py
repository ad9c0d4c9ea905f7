"""What each layer would say of the true continuation at each of its positions: heat maps by class of rows."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style

LAYER_LABELS = 7
"""Labels for which a panel has room."""

WIDTH = 52
"""Characters of a panel's title."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row for each family's largest model, a column per class; the last layer on top."""
    counts = style.classes(style.largest(tables["lens"]))
    if counts.empty:
        return style.blank(style.NO_CLASS), counts
    keys = ["model", "rows", "group"]
    table = tables["lens_positions"].merge(counts[[*keys, "distinct"]].drop_duplicates(), on=keys)
    models = [m for family in style.families(table) for m in table.loc[table["family"] == family, "model"].unique()]
    groups = style.groups(table)
    size = (3.3 * len(groups) + 1.3, 1.35 * len(models) + 0.9)
    figure, panels = plt.subplots(len(models), len(groups), figsize=size, squeeze=False, sharex=True)
    for line, model in zip(panels, models, strict=True):
        for axes, group in zip(line, groups, strict=True):
            part = table[(table["model"] == model) & (table["group"] == group)]
            if part.empty:
                axes.set_visible(False)
                continue
            matrix = part.pivot_table(index="layer", columns="position", values="probability")
            every = style.every_for(len(matrix), LAYER_LABELS), 4
            style.heat_map(axes, matrix, every=every, vmin=0, vmax=1, cmap="viridis", rasterized=True)
            axes.invert_yaxis()
            axes.set_ylabel("layer")
            name = f"{style.name(part['family'].iloc[0])}, {style.millions(part['parameters'].iloc[0])}"
            axes.set_title(style.wrapped(f"{name}: {group}, {style.rows_note(part)}", WIDTH), fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("position in the continuation, tokens")
    shown = next(axes for axes in panels.flat if axes.get_visible())
    figure.colorbar(
        shown.collections[0],
        ax=panels,
        label="probability of the true token, mean",
        format=PercentFormatter(1),
        shrink=min(1.0, 3 / len(models)),
    )
    return figure, table
