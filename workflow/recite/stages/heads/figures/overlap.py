"""How far the most important heads are the same across domains, within one domain, and by chance."""

from collections.abc import Sequence
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style
from recite.stages.heads.shown import contrasted, telling

PALE = 0.45
"""How opaque the second group of rows is."""
COLUMNS = 3
"""Panels in a row."""
LOOKS = {
    "within": (style.Look("#d55e00", "o"), "halves of one domain"),
    "between": (style.Look("#0173b2", "s"), "halves of two domains"),
    "universal": (style.Look("#029e73", "D"), "in all domains, share of all heads"),
}


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each family's largest model: overlap against the share of heads, lines by comparison and group."""
    table = style.largest(tables["overlap"])
    table = telling(table[table["domain_a"] == "all"])
    if table.empty:
        return style.blank(f"No natural domain has {style.FEWEST} distinct texts."), table
    groups = contrasted(table)
    table = table[table["group"].isin(groups)]
    models = [part for family in style.families(table) for _, part in table[table["family"] == family].groupby("model")]
    columns = min(COLUMNS, len(models))
    rows = -(-len(models) // columns)
    size = (2.5 * columns + 0.6, 2.6 * rows + 0.8)
    figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False, sharex=True, sharey=True)
    for axes, part in zip(panels.flat, models, strict=False):
        _panel(axes, part, groups)
    for axes in panels.flat[len(models) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("overlap (Jaccard index)")
    for axes in panels.flat:
        axes.set_xlabel("share of heads taken")
    named = [axes.get_legend_handles_labels() for axes in panels.flat]
    entries = {label: handle for handles, labels in named for handle, label in zip(handles, labels, strict=True)}
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=min(2, columns))
    return figure, table


def _panel(axes: Axes, table: pd.DataFrame, groups: Sequence[str]) -> None:
    for (comparison, (look, label)), (place, group) in product(LOOKS.items(), enumerate(groups)):
        line = table[(table["comparison"] == comparison) & (table["group"] == group)].sort_values("share")
        if line.empty:
            continue
        low, high = line["overlap"] - line["overlap_low"], line["overlap_high"] - line["overlap"]
        axes.errorbar(
            line["share"],
            line["overlap"],
            yerr=np.clip([low, high], 0, None),
            color=look.colour,
            alpha=PALE if place else 1,
            linestyle="--" if place else "-",
            marker=look.marker,
            label=label if group == "all" else f"{label}, {group}",
            markersize=4,
            capsize=2,
            linewidth=1,
        )
    first = table[table["group"] == groups[0]] if (table["group"] == groups[0]).any() else table
    by_chance = first[first["comparison"] == ("between" if (first["comparison"] == "between").any() else "within")]
    by_chance = by_chance.sort_values("share")
    axes.fill_between(
        by_chance["share"], by_chance["chance_low"], by_chance["chance_high"], color="0.8", label="chance", linewidth=0
    )
    axes.plot(by_chance["share"], by_chance["chance"], color="0.4", linewidth=0.8, linestyle=":")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylim(-0.03, 1.03)
    line = first.iloc[0]
    counts = first[first["comparison"] == "within"]
    name = f"{style.name(line['family'])}, {style.millions(line['parameters'])}"
    domains = "1 domain" if line["domains"] == 1 else f"{line['domains']} domains"
    axes.set_title(f"{name}\n{style.rows_note(counts)}, {domains}", fontsize=8)
