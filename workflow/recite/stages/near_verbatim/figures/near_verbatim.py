"""Rates of recall within a tolerance, against model size."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style
from recite.stages.near_verbatim.panels import tolerance_panels


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a line for every tolerance."""
    table = tables["near_verbatim"]
    table = table[(table["domain"] == "natural") & (table["alpha"] == 0)]
    if table.empty:
        return style.blank("No natural rows."), table
    figure = tolerance_panels(table, "parameters", _told)
    for axes in figure.axes:
        style.size_axis(axes)
    return figure, table


def _told(axes: Axes, family: str, part: pd.DataFrame) -> None:
    axes.set_title(f"{style.name(family)}, {style.n_note(part['n'])}")
