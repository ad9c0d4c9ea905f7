"""Kinds of memorized rows against model size."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from recite.report import style

COLUMNS = 3
"""Panels in a row."""
MARKERS = "osD"


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a line for each kind."""
    table = tables["taxonomy"]
    table = table[(table["rows"] == "natural") & (table["distinct"] >= style.FEWEST)]
    families = style.families(table)
    if not families:
        return style.blank("No model has enough memorized natural rows that were counted."), table
    high, wide = -(-len(families) // COLUMNS), min(COLUMNS, len(families))
    size = (3.1 * wide, 2.6 * high + 0.7)
    figure, panels = plt.subplots(high, wide, figsize=size, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(families) :]:
        axes.set_visible(False)
    kinds = list(dict.fromkeys(table["class"]))
    names = {"share": "rate", "share_low": "rate_low", "share_high": "rate_high"}
    for axes, family in zip(panels.flat, families, strict=False):
        part = table[table["family"] == family].sort_values("parameters")
        for place, (kind, colour) in enumerate(style.colours(kinds).items()):
            line = part[part["class"] == kind].rename(columns=names)
            sizes = line["parameters"].to_numpy(float)
            style.rate_points(axes, sizes, line, colour, MARKERS[place], kind, "-")
        axes.set_title(f"{style.name(family)}, {style.n_note(part['n'])}")
    for axes in panels.flat[: len(families)]:
        style.size_axis(axes)
    for axes in panels[:, 0]:
        style.rate_axis(axes)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(kinds))
    return figure, table
