"""Ways of counting against each other: how often they agree, how far they are off, where each sees the threshold."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, PercentFormatter

from recite.report import style

MEASURES = ("sequence", "context", "continuation")
NAMES = {"bytes": "bytes", "own": "own tokens", "other": "another tokenizer's tokens", "public": "public API"}
SPREAD = 0.7
"""Height, of the distance between two families, that a family's points take."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row per family; a colour per way of counting, a marker per span; thresholds are those of the largest models."""
    table, thresholds = tables["countings"], style.largest(tables["thresholds"])
    if table.empty:
        return style.blank("No text was counted in two ways."), table
    thresholds = thresholds[(thresholds["rows"] == "natural") & (thresholds["measure"] == "sequence")]
    families = style.families(table)
    countings = list(dict.fromkeys([*table["reference"], *table["counting"]]))
    colours = style.colours(countings)
    markers = dict(zip(MEASURES, style.MARKERS, strict=False))
    figure, (missed, bias, reached) = plt.subplots(1, 3, figsize=(8.2, 0.62 * len(families) + 1.9), sharey=True)
    slots = [(counting, measure) for counting in countings[1:] for measure in MEASURES]
    endless: list[Line2D] = []
    for family_index, family in enumerate(families):
        for slot, (counting, measure) in enumerate(slots):
            place = family_index + SPREAD * ((slot + 0.5) / len(slots) - 0.5)
            row = table[(table["family"] == family) & (table["counting"] == counting) & (table["measure"] == measure)]
            look = {"color": colours[counting], "marker": markers[measure], "markersize": 4, "linewidth": 1}
            missed.plot(1 - row["equal"], [place], fillstyle="none", **look)
            missed.plot(row["missed"], [place], **look)
            _interval(bias, row, "bias", place, look)
        for slot, counting in enumerate(countings):
            place = family_index + SPREAD * ((slot + 0.5) / len(countings) - 0.5)
            row = thresholds[(thresholds["family"] == family) & (thresholds["counting"] == counting)]
            look = {"color": colours[counting], "marker": markers["sequence"], "markersize": 4, "linewidth": 1}
            endless += _interval(reached, row, "threshold", place, look)
    missed.set_yticks(range(len(families)), [style.name(family) for family in families])
    missed.invert_yaxis()
    missed.xaxis.set_major_formatter(PercentFormatter(1))
    missed.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    missed.margins(x=0.1)
    missed.set_xlabel("texts not found (filled)\nor counted otherwise (hollow)")
    bias.set_xlabel(f"mean log2 of count over\nthat by {NAMES[countings[0]]}, of texts found")
    bias.axvline(0, color="0.4", linewidth=0.8, linestyle=":")
    _threshold_axis(reached, endless)
    reached.set_xlabel("threshold of the largest model,\noccurrences of the sequence")
    for axes in (missed, bias, reached):
        axes.grid(axis="y", visible=False)
    figure.suptitle(" ")
    missed.set_title(f"{style.n_note(table['texts'])} texts")
    handles = [Line2D([], [], color=colours[name], linewidth=3, label=NAMES[name]) for name in countings]
    handles += [Line2D([], [], color="0.3", marker=markers[name], linestyle="none", label=name) for name in MEASURES]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure, pd.concat([table, thresholds], ignore_index=True)


def _threshold_axis(reached: Axes, endless: list[Line2D]) -> None:
    """A logarithmic axis with labels enough, to whose end the intervals without end go."""
    reached.set_xscale("log", base=2)
    low, high = reached.get_xlim()
    if high < 8 * low:  # the powers of two alone would be one or two
        reached.xaxis.set_major_locator(LogLocator(2, subs=(1, 1.5)))
        reached.xaxis.set_major_formatter("{x:g}")
    reached.set_xlim(low, high)
    for line in endless:
        line.set_xdata([np.asarray(line.get_xdata())[0], high])


def _interval(axes: Axes, row: pd.DataFrame, name: str, place: float, look: dict[str, Any]) -> list[Line2D]:
    """Draw a point with its interval, none where it is not defined; the line of an interval without end."""
    values = [float(row[column].iloc[0]) if len(row) else np.nan for column in (name, f"{name}_low", f"{name}_high")]
    value, low, high = values
    if not np.isfinite(value):
        return []
    axes.plot([value], [place], **look)
    is_endless = not np.isfinite(high)
    drawn = axes.plot([low, value if is_endless else high], [place, place], color=look["color"], linewidth=1)
    return drawn if is_endless else []
