"""What is recalled without some neurons, what others lose by them, and where the foremost lie."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style
from recite.stages.neurons.shown import LOOKS, interval_line, size_axis

LEFT = ("own_attribution", "own_random", "class_attribution", "class_distance", "class_random")
LOST = {
    "class_attribution": ("-", "class, by attribution"),
    "class_random": (":", "class, at random"),
}
GROUPS = {"memorized": "memorized", "unmemorized": "unmemorized", "unseen": "never trained on"}
COLOURS = {"memorized": "#d55e00", "unmemorized": "#0173b2", "unseen": "#029e73"}


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A line of panels for each family's largest model."""
    table = style.largest(tables["neurons"])
    natural = table[(table["rows"] == "natural") & (table["distinct"] >= style.FEWEST)]
    families = style.families(natural[natural["group"] == "memorized"])
    if not families:
        return style.blank(f"No model has memorized natural rows of {style.FEWEST} distinct texts."), table
    layers = style.largest(tables["neuron_layers"])
    size = (9.6, 2.6 * len(families) + 0.9)
    figure, panels = plt.subplots(len(families), 3, figsize=size, squeeze=False, sharex="col", sharey="col")
    unseen = table[(table["rows"] == "unseen") & (table["distinct"] >= style.FEWEST)].assign(group="unseen")
    shown = pd.concat([natural, unseen])
    for family, (left, lost, where) in zip(families, panels, strict=True):
        own = shown[shown["family"] == family]
        _left(left, own[own["group"] == "memorized"])
        size_note = style.millions(own["parameters"].iloc[0])
        rows_note = style.rows_note(own[own["group"] == "memorized"])
        left.set_title(f"{style.name(family)}, {size_note}, {rows_note}")
        _lost(lost, own)
        _layers(where, layers[(layers["family"] == family) & (layers["distinct"] >= style.FEWEST)])
        left.set_ylabel("score M")
        lost.set_ylabel("nats lost a token")
        where.set_ylabel("share of the foremost")
    for axes, label in zip(panels[-1], ("neurons at their means", "neurons at their means", "depth"), strict=True):
        axes.set_xlabel(label)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower left")
    figure.legend(*panels[0, 1].get_legend_handles_labels(), loc="outside lower center")
    figure.legend(*panels[0, 2].get_legend_handles_labels(), loc="outside lower right")
    return figure, table


def _left(axes: Axes, table: pd.DataFrame) -> None:
    """The score of memorized rows, by ranking."""
    for ranking in LEFT:
        line = table[table["ranking"] == ranking].sort_values("k")
        interval_line(axes, line, "score", LOOKS[ranking], LOOKS[ranking].label)
    axes.set_ylim(-0.03, 1.05)
    size_axis(axes, table)


def _lost(axes: Axes, table: pd.DataFrame) -> None:
    """What the class's neurons cost memorized rows, and others."""
    for group, name in GROUPS.items():
        for ranking, (stroke, label) in LOST.items():
            line = table[(table["group"] == group) & (table["ranking"] == ranking)].sort_values("k")
            if len(line):
                look = LOOKS[ranking]._replace(colour=COLOURS[group], stroke=stroke)
                interval_line(axes, line, "lost", look, f"{name}: {label}")
    size_axis(axes, table)


def _layers(axes: Axes, table: pd.DataFrame) -> None:
    """Where the foremost neurons lie, by class of rows; a dotted line where they were even."""
    for group in style.groups(table):
        line = table[table["group"] == group].sort_values("layer")
        look = style.CLASSES[group]
        low, high = line["share"] - line["share_low"], line["share_high"] - line["share"]
        axes.errorbar(
            line["depth"],
            line["share"],
            yerr=np.clip([low, high], 0, None),
            color=look.colour,
            marker=look.marker,
            markersize=4,
            capsize=2,
            linewidth=1,
            label=f"{group}: own, by layer",
        )
    if len(table):
        axes.axhline(1 / table["layer"].nunique(), color="0.4", linestyle=":", linewidth=0.8)
    axes.set_ylim(bottom=0)
