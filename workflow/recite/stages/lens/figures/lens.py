"""What each layer would say of the true continuation, by class of rows."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style

STATISTICS = {
    "probability": "probability of\nthe true token",
    "rank": "rank of the true\ntoken, geom. mean",
    "entropy": "entropy, nats",
    "agrees": "says what the\nlast layer says",
}
KEPT = ["model", "family", "parameters", "rows", "group", "layer", "depth", "n", "distinct"]
HALF = 0.5


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A column per class, a row per statistic, a line for each family's largest model."""
    table = style.classes(style.largest(tables["lens"]))
    if table.empty:
        return style.blank(style.NO_CLASS), table
    families = style.families(table)
    colours = style.colours(families)
    looks = {
        family: style.Look(colours[family], style.MARKERS[place % len(style.MARKERS)])
        for place, family in enumerate(families)
    }
    groups = style.groups(table)
    size = (3.3 * len(groups) + 0.8, 1.9 * len(STATISTICS) + 0.9)
    figure, panels = plt.subplots(
        len(STATISTICS), len(groups), figsize=size, squeeze=False, sharex=True, sharey="row"
    )  # fmt: skip
    for column, group in enumerate(groups):
        part = table[table["group"] == group]
        for axes, statistic in zip(panels[:, column], STATISTICS, strict=True):
            _panel(axes, part, statistic, looks)
        panels[0, column].axhline(HALF, color="0.3", linewidth=0.8, linestyle=":")
        panels[0, column].set_title(f"{group}\n{style.rows_note(part)}")
        panels[-1, column].set_xlabel("relative depth, (layer + 1) / layers")
    for axes, (statistic, words) in zip(panels[:, 0], STATISTICS.items(), strict=True):
        axes.set_ylabel(words)
        if statistic in ("probability", "agrees"):
            axes.yaxis.set_major_formatter(PercentFormatter(1))
            axes.set_ylim(-0.03, 1.03)
        elif statistic == "rank":
            axes.set_yscale("log")
            axes.invert_yaxis()
    figure.align_ylabels(panels[:, 0])
    named = [axes.get_legend_handles_labels() for axes in panels[0]]
    entries = {label: handle for handles, labels in named for handle, label in zip(handles, labels, strict=True)}
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3)
    ends = [f"{name}{end}" for name in STATISTICS for end in ("", "_low", "_high")]
    return figure, table[KEPT + ends]


def _panel(axes: Axes, table: pd.DataFrame, statistic: str, looks: dict[str, style.Look]) -> None:
    for family, look in looks.items():
        for _, line in table[table["family"] == family].groupby("model"):
            line = line.sort_values("depth")
            low, high = line[statistic] - line[f"{statistic}_low"], line[f"{statistic}_high"] - line[statistic]
            axes.errorbar(
                line["depth"],
                line[statistic],
                yerr=np.clip([low, high], 0, None),
                color=look.colour,
                marker=look.marker,
                label=f"{style.name(family)}, {style.millions(line['parameters'].iloc[0])}",
                markersize=3.5,
                capsize=1.5,
                linewidth=1,
                elinewidth=0.6,
            )
