"""Planted rows: memorization rate against the known repetition count."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from recite.report import style

NONE = 0.5
"""Where texts of no copy stand, as zero has no place on a logarithmic axis."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a line per size, with Wilson intervals."""
    table = tables["control_rates"]
    families = style.families(table)
    columns = min(3, len(families))
    rows = -(-len(families) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(8.2, 2.5 * rows), sharex=True, sharey=True, squeeze=False)
    counts = sorted(table["repetitions"].unique())
    ticks = [max(count, NONE) for count in counts]
    for axes, family in zip(panels.flat, families, strict=False):
        part = table[table["family"] == family]
        shades = style.shades(sorted(part["parameters"].unique()))
        for (parameters, colour), marker in zip(shades.items(), style.MARKERS, strict=False):
            line = part[part["parameters"] == parameters].sort_values("repetitions")
            places = line["repetitions"].astype(float).clip(lower=NONE).to_numpy()
            style.rate_points(axes, places, line, colour, marker, style.millions(parameters), "-")
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(count) for count in counts])
        axes.set_title(style.name(family))
        style.rate_axis(axes, "")
        axes.legend(title="parameters", title_fontsize=7, fontsize=7, loc="upper left")
    for axes in panels.flat[len(families) :]:
        axes.set_visible(False)
    figure.supxlabel(f"copies in the training data ({style.rows_note(table)} a point)", fontsize=9)
    figure.supylabel("memorized rows", fontsize=9)
    return figure, table
