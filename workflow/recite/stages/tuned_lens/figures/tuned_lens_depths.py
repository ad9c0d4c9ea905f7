"""Depths at which the true token is known, by both lenses."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from recite.report import style

THRESHOLDS = {"absolute": "probability of one half", "relative": "half of the final probability"}
LENSES = {"logit": -0.16, "tuned": 0.16}
"""Where a lens's points lie beside their line."""

QUARTERS = (0, 0.25, 0.5, 0.75, 1)
TALLEST = 17
"""Inches within which the lines of all models stand."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per threshold, a line per model, kind of rows and class."""
    table = tables["tuned_lens_depths"]
    if table.empty:
        return style.blank(f"No class of rows has {style.FEWEST} distinct texts."), table
    keys = ["model", "rows", "group"]
    order = {family: place for place, family in enumerate(style.families(table))}
    table = table.assign(place=table["family"].map(order)).sort_values(["place", "parameters", *keys])
    places = {key: place for place, key in enumerate(table[keys].drop_duplicates().itertuples(index=False, name=None))}
    size = (8.4, min(0.3 * len(places), TALLEST) + 1.4)
    figure, panels = plt.subplots(1, len(THRESHOLDS), figsize=size, squeeze=False, sharey=True, sharex=True)
    for axes, (threshold, words) in zip(panels[0], THRESHOLDS.items(), strict=True):
        part = table[table["threshold"] == threshold]
        at = np.array([places[key] for key in part[keys].itertuples(index=False, name=None)])
        for lens, beside in LENSES.items():
            _points(axes, part, at + beside, lens)
        axes.set_title(f"passes {words}")
        axes.set_xlabel("relative depth")
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks(QUARTERS, [f"{depth:g}" for depth in QUARTERS])
    counts = table.drop_duplicates(keys)["distinct"].tolist()
    names = [
        f"{model}, {rows} {group}, {count} texts" for (model, rows, group), count in zip(places, counts, strict=True)
    ]
    panels[0, 0].set_yticks(list(places.values()), names)
    panels[0, 0].set_ylim(len(places) - 0.5, -0.5)
    handles = [
        Line2D([], [], color="0.3", marker="o", linestyle="none", markerfacecolor=face) for face in ("white", "0.3")
    ]
    figure.legend(handles, ["plain lens", "tuned lens"], loc="outside lower center", ncols=2)
    return figure, table.drop(columns="place")


def _points(axes: Axes, part: pd.DataFrame, at: np.ndarray, lens: str) -> None:
    for place, line in zip(at, part.to_dict("records"), strict=True):
        look = style.CLASSES[line["group"]]
        value, low, high = (line[f"{lens}{end}"] for end in ("", "_low", "_high"))
        if np.isnan(value):
            continue
        axes.errorbar(
            value,
            place,
            xerr=np.clip([[value - low], [high - value]], 0, None),
            color=look.colour,
            marker=look.marker,
            markerfacecolor=look.colour if lens == "tuned" else "white",
            markersize=4,
            capsize=2,
            linewidth=1,
        )
