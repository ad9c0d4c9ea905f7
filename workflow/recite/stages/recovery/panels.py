"""Panels of the largest models, a line per class of rows, layer by layer."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from recite.report import style

COLUMNS = 3
"""Panels in a row."""
DODGE = 0.08
"""How far apart, in layers, the classes' points stand."""
SPACING = 9
"""Points between the lines of small print above a panel."""
LINES: tuple[Any, ...] = ("-", "--")
"""Of the strongest and of the weakest noise."""


def draw_panels(
    tables: dict[str, pd.DataFrame], column: str, tested: str, label: str, at: float, beside: dict[str, str]
) -> tuple[Figure, pd.DataFrame]:
    """A panel for each family's largest model, a line per class; the strongest and weakest noise in the first layer.

    column: of the table recovery, on an axis called `label` with a line at `at`. tested: the measure of recovery_tests
    that is written above a panel. beside: other columns, drawn fainter, of the strongest noise, with their words.
    """
    table = style.classes(style.largest(style.first_layer(tables["recovery"])))
    if table.empty:
        return style.blank(style.NO_CLASS), table
    strengths = sorted({table["alpha"].max(), table["alpha"].min()}, reverse=True)
    table = table[table["alpha"].isin(strengths)]
    models = [part for family in style.families(table) for _, part in table[table["family"] == family].groupby("model")]
    columns = min(COLUMNS, len(models))
    rows = -(-len(models) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(2.6 * columns + 0.5, 2.8 * rows + 0.6), squeeze=False, sharey=True
    )
    tests = style.first_layer(tables["recovery_tests"])
    tests = tests[(tests["rows"] == "natural") & (tests["alpha"] == strengths[0]) & (tests["measure"] == tested)]
    for axes, part in zip(panels.flat, models, strict=False):
        axes.axhline(at, color="0.5", linewidth=0.8)
        for alpha, kind in zip(strengths, LINES, strict=False):
            _lines(axes, part[part["alpha"] == alpha], column, kind)
        for other in beside:
            _lines(axes, part[part["alpha"] == strengths[0]], other, ":")
        _title(axes, part, tests[tests["model"] == part["model"].iloc[0]])
    for axes in panels.flat[len(models) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel(label)
    handles = [Line2D([], [], color="0.2", linestyle=kind) for kind in LINES[: len(strengths)]]
    handles += [Line2D([], [], color="0.2", linestyle=":") for _ in beside]
    labels = [*(f"α = {alpha:g}" for alpha in strengths), *beside.values()]
    for group in style.groups(table):
        look = style.CLASSES[group]
        handles.append(Line2D([], [], color=look.colour, marker=look.marker, markersize=4))
        labels.append(group)
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 2 * columns))
    return figure, table


def _lines(axes: Axes, table: pd.DataFrame, column: str, kind: Any) -> None:
    """A line per class with its intervals."""
    for place, (group, look) in enumerate(style.CLASSES.items()):
        line = table[table["group"] == group].sort_values("layer")
        errors = [line[column] - line[f"{column}_low"], line[f"{column}_high"] - line[column]]
        axes.errorbar(
            line["layer"] + DODGE * (place - 1),
            line[column],
            yerr=np.clip(errors, 0, None),
            color=look.colour,
            marker=look.marker,
            linestyle=kind,
            markersize=3,
            capsize=1.5,
            linewidth=1,
            elinewidth=0.6,
        )


def _title(axes: Axes, table: pd.DataFrame, tests: pd.DataFrame) -> None:
    words = _words(table, tests)
    name = f"{style.name(table['family'].iloc[0])}, {style.millions(table['parameters'].iloc[0])}"
    axes.set_title(name, pad=6 + SPACING * len(words))
    note = axes.annotate(
        "\n".join(words), (0.5, 1), xytext=(0, 3), textcoords="offset points", xycoords="axes fraction", fontsize=6.5
    )
    note.set(ha="center", linespacing=1.3, in_layout=False)
    axes.set_xlabel("layer")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _words(table: pd.DataFrame, tests: pd.DataFrame) -> list[str]:
    """How many rows a panel is of, and the difference at the last layer, if it was tested."""
    counts = table.drop_duplicates("group").set_index("group")
    words = [
        f"{group}: {counts.loc[group, 'n']} rows, {counts.loc[group, 'distinct']} texts"
        for group in style.groups(table)
    ]
    return words + [
        f"difference: {line.difference:.2f} [{line.difference_low:.2f}, {line.difference_high:.2f}]"
        for line in tests.itertuples()
    ]
