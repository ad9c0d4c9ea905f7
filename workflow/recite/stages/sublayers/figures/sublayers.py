"""What is lost without the attention or the MLP of one layer, against the layer's depth."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter, SymmetricalLogLocator

from recite.report import style

LOOKS = {"attention": style.Look("#0173b2", "o"), "mlp": style.Look("#d55e00", "s")}
NAMES = {"attention": "attention", "mlp": "MLP"}
MEASURES = {
    "hits_drop": ("drop of the score M, points", ("memorized",)),
    "log_probability_drop": ("drop of log-probability,\nnats per token", ("memorized", "unmemorized")),
}
PALE = 0.45


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row of panels for each family's largest model: recall that memorized rows lose, and log-probability."""
    table = style.largest(style.classes(tables["sublayers"]))
    table = table[(table["domain"] == "all") & table["group"].isin(["memorized", "unmemorized"])]
    families = style.families(table)
    if not families:
        return style.blank(style.NO_CLASS), table
    size = (7.6, 1.9 * len(families) + 0.7)
    figure, panels = plt.subplots(len(families), 2, figsize=size, squeeze=False, sharex=True, sharey="col")
    for row, family in zip(panels, families, strict=True):
        of_family = table[table["family"] == family]
        for axes, (name, (label, groups)) in zip(row, MEASURES.items(), strict=True):
            for group in groups:
                _lines(axes, of_family[of_family["group"] == group], name, group)
            axes.axhline(0, color="0.4", linewidth=0.8)
            axes.set_ylabel(label)
            shown = of_family[of_family["group"].isin(groups)]
            if len(shown):
                parameters = style.millions(shown["parameters"].iloc[0])
                axes.set_title(f"{style.name(family)}, {parameters}: n = {_note(shown)}", fontsize=7)
        row[0].yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        if table["log_probability_drop_high"].abs().max() > 1:
            row[1].set_yscale("symlog", linthresh=1)
            row[1].yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=[1, 2, 5]))
            row[1].yaxis.set_major_formatter(ScalarFormatter())
    for axes in panels[-1]:
        axes.set_xlabel("depth: (layer + 1) / layers")
    handles, labels = panels[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure, table


def _note(table: pd.DataFrame) -> str:
    """How many rows of each class there are."""
    return ", ".join(f"{part['n'].iloc[0]} {group}" for group, part in table.groupby("group"))


def _lines(axes: Axes, table: pd.DataFrame, name: str, group: str) -> None:
    """A line for the attentions and one for the MLPs of one class of rows."""
    for sublayer, look in LOOKS.items():
        line = table[table["sublayer"] == sublayer].sort_values("layer")
        low, high = line[name] - line[f"{name}_low"], line[f"{name}_high"] - line[name]
        axes.errorbar(
            line["depth"],
            line[name],
            yerr=np.clip([low, high], 0, None),
            color=look.colour,
            marker=look.marker,
            alpha=1 if group == "memorized" else PALE,
            linestyle="-" if group == "memorized" else "--",
            label=f"{NAMES[sublayer]}, {group}",
            markersize=4,
            capsize=2,
            linewidth=1,
        )
