"""What a continuation attends to, place by place, above what cutting that attention costs."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style

COLUMNS = 3
"""Families in a row of panels."""
DODGE = 0.16
"""How far apart the classes of rows stand."""
SHORT = {"continuation": "so far"}
UNSEEN = style.Look("#029e73", "^")
STATISTICS = {"mass": "attention", "log_probability_drop": "lost, nats per token"}


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Two panels per family, one above the other, a point for each place and class of rows."""
    table = style.largest(tables["attention"])
    table = table[(table["rows"] != "planted") & (table["distinct"] >= style.FEWEST)]
    families = style.families(table)
    if not families:
        return style.blank(style.NO_CLASS), table
    high, wide = -(-len(families) // COLUMNS), min(COLUMNS, len(families))
    size = (3.1 * wide, 3.3 * high + 0.7)
    figure, panels = plt.subplots(2 * high, wide, figsize=size, squeeze=False, sharex="col", sharey=False)
    for axes in panels.flat:
        axes.set_visible(False)
    for number, family in enumerate(families):
        row, column = divmod(number, COLUMNS)
        part = table[table["family"] == family]
        for above, (statistic, words) in enumerate(STATISTICS.items()):
            axes = panels[2 * row + above, column]
            axes.set_visible(True)
            _panel(axes, part, statistic)
            if column == 0:
                axes.set_ylabel(words)
        panels[2 * row, column].set_title(style.model_note(family, part.assign(n=part["drawn"])))
        panels[2 * row + 1, column].xaxis.set_tick_params(labelbottom=True, rotation=90)
    named = [axes.get_legend_handles_labels() for axes in panels.flat]
    entries = {label: handle for handles, labels in named for handle, label in zip(handles, labels, strict=True)}
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=len(entries))
    return figure, table


def _panel(axes: Axes, table: pd.DataFrame, statistic: str) -> None:
    places = list(dict.fromkeys(table["place"]))
    if statistic == "mass":
        even = table.drop_duplicates("place")["even"]
        axes.plot(range(len(places)), even, color="0.6", drawstyle="steps-mid", linewidth=1, label="even attention")
    looks = {group: style.CLASSES[group] for group in style.groups(table)} | {"never trained on": UNSEEN}
    lines = {group: table[(table["rows"] == "natural") & (table["group"] == group)] for group in looks}
    lines["never trained on"] = table[table["rows"] == "unseen"]
    for shift, (group, look) in enumerate(looks.items()):
        line = lines[group]
        if line.empty:
            continue
        value = line[statistic].to_numpy()
        ends = [value - line[f"{statistic}_low"], line[f"{statistic}_high"] - value]
        axes.errorbar(
            np.arange(len(value)) + DODGE * (shift - (len(looks) - 1) / 2),
            value,
            yerr=np.clip(ends, 0, None),
            color=look.colour,
            marker=look.marker,
            linestyle="none",
            label=group,
            markersize=4,
            capsize=2,
            linewidth=1,
        )
    axes.set_xticks(range(len(places)), [SHORT.get(place, place.removeprefix("context ")) for place in places])
    axes.axhline(0, color="0.6", linewidth=0.8)
