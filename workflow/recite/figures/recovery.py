"""How alike the disturbed and the undisturbed residual stream are after each layer, by class of rows."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from recite.figures import style

COLUMNS = 3
"""Panels in a row."""
DODGE = 0.08
"""How far apart, in layers, the classes' points stand."""
LINES: tuple[Any, ...] = ("-", "--")
"""Of the strongest and of the weakest noise."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each family's largest model, a line per class, under the strongest and the weakest noise."""
    table = style.largest(tables["recovery"])
    table = table[(table["rows"] == "natural") & table["group"].isin(list(style.CLASSES))]
    if table.empty:
        return style.blank("No row is memorized, half memorized or unmemorized."), table
    strengths = sorted({table["alpha"].max(), table["alpha"].min()}, reverse=True)
    table = table[table["alpha"].isin(strengths)]
    models = [part for family in style.families(table) for _, part in table[table["family"] == family].groupby("model")]
    columns = min(COLUMNS, len(models))
    rows = -(-len(models) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(2.6 * columns + 0.5, 2.6 * rows + 0.8), squeeze=False, sharey=True
    )
    tests = tables["recovery_tests"]
    tests = tests[(tests["rows"] == "natural") & (tests["alpha"] == strengths[0])]
    for axes, part in zip(panels.flat, models, strict=False):
        _panel(axes, part, strengths, tests[tests["model"] == part["model"].iloc[0]])
    for axes in panels.flat[len(models) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("cosine to the undisturbed stream")
    handles = [Line2D([], [], color="0.2", linestyle=kind) for kind in LINES[: len(strengths)]]
    labels = [f"α = {alpha:g}" for alpha in strengths]
    for group, look in style.CLASSES.items():
        handles.append(Line2D([], [], color=look.colour, marker=look.marker, markersize=4))
        labels.append(group)
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure, table


def _panel(axes: Axes, table: pd.DataFrame, strengths: list[float], tests: pd.DataFrame) -> None:
    for alpha, kind in zip(strengths, LINES, strict=False):
        for place, (group, look) in enumerate(style.CLASSES.items()):
            line = table[(table["alpha"] == alpha) & (table["group"] == group)].sort_values("layer")
            errors = [line["cosine"] - line["cosine_low"], line["cosine_high"] - line["cosine"]]
            axes.errorbar(
                line["layer"] + DODGE * (place - 1),
                line["cosine"],
                yerr=np.clip(errors, 0, None),
                color=look.colour,
                marker=look.marker,
                linestyle=kind,
                markersize=3,
                capsize=1.5,
                linewidth=1,
            )
    first = table["layer"].min()
    counts = table[(table["alpha"] == strengths[0]) & (table["layer"] == first)].set_index("group")
    words = "\n".join(
        f"{group}: {counts.loc[group, 'n']} rows, {counts.loc[group, 'distinct']} texts"
        for group in style.CLASSES
        if group in counts.index
    )
    axes.text(0.03, 0.03, words, transform=axes.transAxes, fontsize=6.5, va="bottom", linespacing=1.3)
    axes.set_title(
        f"{style.name(table['family'].iloc[0])}, {style.millions(table['parameters'].iloc[0])}{_test(tests)}"
    )
    axes.set_xlabel("layer")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _test(tests: pd.DataFrame) -> str:
    """The difference at the last layer, if it was tested."""
    if tests.empty:
        return ""
    line = tests.iloc[0]
    low, high = 100 * line["difference_low"], 100 * line["difference_high"]
    return f"\nmem. − unmem.: {100 * line['difference']:.1f} [{low:.1f}, {high:.1f}] points"
