"""How rankings of neurons look in both figures."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes


class Stroke(NamedTuple):
    """A ranking's line."""

    colour: Any
    marker: str
    stroke: str
    label: str


LOOKS = {
    "own_attribution": Stroke("#d55e00", "o", "-", "own, by attribution"),
    "own_random": Stroke("#d55e00", "o", ":", "own, at random"),
    "class_attribution": Stroke("#0173b2", "s", "-", "class, by attribution"),
    "class_distance": Stroke("#029e73", "D", "--", "class, by distance from the mean"),
    "class_random": Stroke("#0173b2", "s", ":", "class, at random"),
    "class_difference": Stroke("#cc78bc", "^", "-", "class, by distance from the twin"),
    "class_difference_random": Stroke("#cc78bc", "^", ":", "the same at random"),
}


def interval_line(axes: Axes, table: pd.DataFrame, name: str, look: Stroke, label: str) -> None:
    """A statistic against the number of neurons, with its intervals."""
    low, high = table[name] - table[f"{name}_low"], table[f"{name}_high"] - table[name]
    axes.errorbar(
        table["k"],
        table[name],
        yerr=np.clip([low, high], 0, None),
        color=look.colour,
        marker=look.marker,
        linestyle=look.stroke,
        label=label,
        markersize=4,
        capsize=2,
        linewidth=1,
    )


def size_axis(axes: Axes, table: pd.DataFrame) -> None:
    """The number of neurons, in logarithms; what is there without any stays out."""
    axes.set_xscale("log")
    sizes = sorted(size for size in table["k"].unique() if size)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
