"""Rates of recall within a tolerance, against the strength of noise."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style
from recite.stages.near_verbatim.panels import tolerance_panels


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a line for every tolerance of its largest disturbed model."""
    table = style.disturbed(tables["near_verbatim"])
    if table.empty:
        return style.blank("No model is disturbed, or there are no natural rows."), table
    return tolerance_panels(table, "alpha", _told), table


def _told(axes: Axes, family: str, part: pd.DataFrame) -> None:
    axes.set(xlabel="noise strength α", title=style.model_note(family, part))
