"""Memorization by corpus frequency: rates by count with their thresholds, and by the mean frequency of the tokens."""

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from recite.report import style


class Panel(NamedTuple):
    """What one panel shows."""

    rows: str
    measure: str
    title: str
    label: str


TOKENS = "token_frequency"
PANELS = (
    Panel("natural", "sequence", "natural rows, whole sequence", "occurrences of the sequence"),
    Panel("planted", "sequence", "planted rows, whole sequence", "occurrences of the sequence"),
    Panel("natural", "continuation", "natural rows, continuation", "occurrences of the continuation"),
    Panel("natural", TOKENS, "natural rows, their tokens", "mean share of the corpus of a row's tokens"),
)
DODGE = 0.06
"""How far apart, in octaves, the families' points stand."""
ZERO = 0.5
"""Where zero occurrences stand, which have no place on a logarithmic axis."""
FEWEST = 3
"""Rows that a bin needs for its rate to be drawn."""
STRIP = 0.03
"""Height, of the panel's, of a family's line above the panel."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per measure, a line per family's largest model; above it each threshold with its interval."""
    rates, thresholds = (style.largest(tables[name]) for name in ("frequency_rates", "thresholds"))
    rates = rates[rates["n"] >= FEWEST]
    panels = [panel for panel in PANELS if len(_part(rates, panel))]
    if not panels:
        return style.blank("No row was counted."), rates
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure, grid = plt.subplots(lines, columns, figsize=(8.2, 3.4 * lines), squeeze=False)
    families = style.families(rates)
    colours = style.colours(families)
    for axes, panel in zip(grid.flat, panels, strict=False):
        part, reached = _part(rates, panel), _part(thresholds, panel)
        for index, (family, marker) in enumerate(zip(families, style.MARKERS, strict=False)):
            line = part[part["family"] == family].sort_values("middle")
            place = line["middle"].replace(0, ZERO).to_numpy() * 2 ** (DODGE * (index - (len(families) - 1) / 2))
            style.rate_points(axes, place, line, colours[family], marker, style.name(family), "-")
        axes.set_xscale("log", base=2)
        _name_zero(axes)
        axes.set_xlim(axes.get_xlim())
        for index, family in enumerate(families):
            _threshold(axes, reached[reached["family"] == family], colours[family], 1 + STRIP * (index + 1))
        axes.set_title(f"{panel.title} ({style.n_note(part.groupby('model')['n'].sum())})", pad=10 + 5 * len(families))
        axes.set_xlabel(panel.label)
        style.rate_axis(axes)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure, pd.concat([_shown(rates), _shown(thresholds)], ignore_index=True)


def _name_zero(axes: Axes) -> None:
    """Call zero what stands for it."""
    known = axes.xaxis.get_major_formatter()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: "0" if value == ZERO else known(value, place)))


def _part(table: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """A panel's lines, by the study's first way of counting; tokens by the models' own where these were counted."""
    found = table[(table["rows"] == panel.rows) & (table["measure"] == panel.measure)]
    countings = list(found["counting"].unique())
    chosen = "own" if panel.measure == TOKENS and "own" in countings else (countings or [""])[0]
    return found[found["counting"] == chosen]


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([_part(table, panel) for panel in PANELS])


def _threshold(axes: Axes, found: pd.DataFrame, colour: object, height: float) -> None:
    """A threshold with its interval in the strip above a panel; none where it is not reached."""
    for row in found[np.isfinite(found["threshold"])].itertuples():
        # An interval without end goes to the panel's edge.
        end = row.threshold_high if np.isfinite(row.threshold_high) else axes.get_xlim()[1]
        strip: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "color": colour, "clip_on": False}
        axes.plot([row.threshold_low, max(end, row.threshold)], [height, height], linewidth=1, **strip)
        axes.plot([row.threshold], [height], marker="v", markersize=4, **strip)
