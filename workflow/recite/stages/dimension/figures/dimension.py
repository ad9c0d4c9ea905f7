"""Intrinsic dimension by layer and class, beside what the estimator gives of balls."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

from recite.report import style

ESTIMATORS = {"maximum_likelihood": "maximum likelihood", "two_nn": "TwoNN"}
PLACES = {"context": "end of the context", "continuation": "end of the continuation"}
PAIR = ("memorized", "unmemorized")
BALLS = (2, 4, 8, 16, 32, 64)
"""Dimensions of the balls that are drawn."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row per family, a column per place and estimator, a line per class."""
    table = paired(style.largest(tables["dimension"]))
    if table.empty:
        return style.blank("No model has texts enough of both classes."), table
    families = style.families(table)
    columns = [(place, estimator) for place in PLACES for estimator in ESTIMATORS]
    size = (2.6 * len(columns) + 0.4, 1.75 * len(families) + 1.0)
    figure, panels = plt.subplots(len(families), len(columns), figsize=size, squeeze=False, sharex=True, sharey="row")
    for line, family in zip(panels, families, strict=True):
        part = table[table["family"] == family]
        for axes, (place, estimator) in zip(line, columns, strict=True):
            own = part[(part["place"] == place) & (part["estimator"] == estimator)]
            for group in PAIR:
                _curve(axes, own[own["group"] == group].sort_values("depth"), group)
        n, rows = part["n"].iloc[0], part["rows"].iloc[0]
        line[0].set_ylabel(f"{style.name(family)}\n{rows}, n = {n}")
        line[0].set_yscale("log", base=2)
        line[0].yaxis.set_major_formatter(FormatStrFormatter("%d"))
        _balls(line, columns, tables["dimension_known"], int(n))
    for axes, (place, estimator) in zip(panels[0], columns, strict=True):
        axes.set_title(f"{ESTIMATORS[estimator]}\n{PLACES[place]}")
    for axes in panels[-1]:
        axes.set_xlabel("relative depth")
    figure.align_ylabels(panels[:, 0])
    figure.supylabel("estimated intrinsic dimension", fontsize=9)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure, table


def paired(table: pd.DataFrame) -> pd.DataFrame:
    """Each model's memorized and unmemorized rows: natural ones where both classes are there, else planted ones."""
    table = table[table["group"].isin(PAIR)]
    both = table.groupby(["model", "rows"])["group"].transform("nunique") == len(PAIR)
    table = table[both]
    natural = table.loc[table["rows"] == "natural", "model"].unique()
    return table[(table["rows"] == "natural") | ~table["model"].isin(natural)]


def _curve(axes: Axes, line: pd.DataFrame, group: str) -> None:
    look = style.CLASSES[group]
    value = line["dimension"]
    axes.errorbar(
        line["depth"],
        value,
        yerr=np.clip([value - line["dimension_low"], line["dimension_high"] - value], 0, None),
        color=look.colour,
        marker=look.marker,
        label=group,
        markersize=3.5,
        capsize=1.5,
        linewidth=1,
        elinewidth=0.6,
    )


def _balls(line: np.ndarray, columns: list[tuple[str, str]], known: pd.DataFrame, n: int) -> None:
    """What the estimators give of balls, as far as the panels reach."""
    low, high = line[0].get_ylim()
    for axes, (_, estimator) in zip(line, columns, strict=True):
        of_ball = known[(known["n"] == n) & (known["estimator"] == estimator) & (known["manifold"] == "ball")]
        for ball in of_ball[of_ball["dimension"].isin(BALLS)].itertuples():
            if low < ball.estimate < high:
                axes.axhline(ball.estimate, color="0.5", linewidth=0.8, linestyle=":", zorder=1)
                at = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 7, "color": "0.4"}
                axes.text(1.0, ball.estimate, f" {ball.dimension}", **at)
    line[0].set_ylim(low, high)
