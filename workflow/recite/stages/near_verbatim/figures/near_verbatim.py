"""Rates of recall within a tolerance, against model size."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style

COLUMNS = 3
"""Panels in a row."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a line for every tolerance."""
    table = tables["near_verbatim"]
    table = table[table["domain"] == "natural"]
    families = style.families(table)
    if not families:
        return style.blank("No natural rows."), table
    tolerances = sorted(table["tolerance"].unique())
    shades = style.shades(tolerances)
    high = -(-len(families) // COLUMNS)
    wide = min(COLUMNS, len(families))
    size = (3.1 * wide, 2.6 * high + 0.7)
    figure, panels = plt.subplots(high, wide, figsize=size, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(families) :]:
        axes.set_visible(False)
    for axes, family in zip(panels.flat, families, strict=False):
        part = table[table["family"] == family]
        for tolerance, marker in zip(tolerances, style.MARKERS, strict=False):
            line = part[part["tolerance"] == tolerance].sort_values("parameters")
            label = "verbatim" if tolerance == 0 else f"{100 * tolerance:g}% of the tokens edited"
            style.rate_points(axes, line["parameters"].to_numpy(float), line, shades[tolerance], marker, label, "-")
        _name(axes, f"{style.name(family)}, {style.n_note(part['n'])}")
    for axes in panels[:, 0]:
        style.rate_axis(axes, "recalled rows")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(tolerances))
    return figure, table


def _name(axes: Axes, title: str) -> None:
    axes.set_xscale("log")
    axes.set_xlabel("parameters")
    axes.set_title(title)
