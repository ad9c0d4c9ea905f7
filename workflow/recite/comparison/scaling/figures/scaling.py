"""Memorization rate against model size, per family, with the fitted lines."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style

WIDTH = 58
"""Characters of a panel's title."""
FITS = ("scaling", "predictions")
"""Tables of lines and of what they foretell."""
SLOPES = "slope: percentage points per tenfold size [interval]"


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Natural rows, and planted ones if there are any; a line per family, with its slope.

    Where the families' rates are far apart, a panel per family with an axis of its own, else one for all.
    """
    natural = tables["rates"][tables["rates"]["domain"] == "natural"].assign(rows="natural")
    planted = tables["rates"][tables["rates"]["kind"] == "planted"].assign(rows="planted")
    points = pd.concat([natural, planted], ignore_index=True)
    titles = {"natural": "natural rows"} | ({"planted": "planted control rows"} if len(planted) else {})
    families = style.families(natural)
    if style.apart(natural):
        keys = [(rows, family) for rows in titles for family in families]
        figure, panels = style.family_panels(keys, own=True)
        for (rows, family), axes in panels.items():
            part = _of(points, rows)
            _panel(axes, part[part["family"] == family], families, {name: _of(tables[name], rows) for name in FITS})
            axes.set_title(f"{style.name(family)}, {titles[rows]}, {style.n_note(part['n'][part['family'] == family])}")
            axes.legend(loc="best", handletextpad=0.2)
        figure.supxlabel(f"{SLOPES}; crosses: predicted from the smaller models", fontsize=8)
    else:
        figure, row = plt.subplots(1, len(titles), figsize=(4.1 * len(titles), 4.6), squeeze=False)
        for axes, (rows, title) in zip(row[0], titles.items(), strict=True):
            part, fits = _of(points, rows), {name: _of(tables[name], rows) for name in FITS}
            _panel(axes, part, families, fits)
            tests = _of(tables["slope_tests"], rows)
            test = f"\none slope for all families: p = {tests['p_value'].iloc[0]:.2g}" if len(tests) else ""
            axes.set_title(style.wrapped(f"{title}, {style.rows_note(part)} a model", WIDTH) + test)
            _legend(axes, SLOPES if len(fits["scaling"]) else None)
    predicted = tables["predictions"][["rows", "model", "predicted", "predicted_low", "predicted_high"]]
    kept = ["rows", "model", "family", "parameters", "n", "distinct", "memorized", "rate", "rate_low", "rate_high"]
    fits = tables["scaling"].drop(columns=["models", "p_value", "q_value"])
    return figure, points[kept].merge(fits, on=["family", "rows"], how="left").merge(
        predicted, on=["rows", "model"], how="left"
    )


def _of(table: pd.DataFrame, rows: str) -> pd.DataFrame:
    return table[table["rows"] == rows]


def _panel(axes: Axes, points: pd.DataFrame, families: list[str], fits: dict[str, pd.DataFrame]) -> None:
    lines, predictions = fits["scaling"].set_index("family"), fits["predictions"]
    colours = style.colours(families)
    for family, marker in zip(families, style.MARKERS, strict=False):
        part = points[points["family"] == family].sort_values("parameters")
        if part.empty:
            continue
        label = style.name(family)
        if family in lines.index:
            fit = lines.loc[family]
            ends = part["parameters"].to_numpy(float)[[0, -1]]
            axes.plot(
                ends, fit["intercept"] + fit["slope"] * np.log10(ends), color=colours[family], linewidth=1, alpha=0.6
            )
            label += f": {100 * fit['slope']:.1f} [{100 * fit['slope_low']:.1f}, {100 * fit['slope_high']:.1f}]"
        style.rate_points(axes, part["parameters"].to_numpy(), part, colours[family], marker, label)
        held_out = predictions[predictions["family"] == family]
        axes.plot(held_out["parameters"], held_out["predicted"], "x", color=colours[family], markersize=6)
    style.size_axis(axes)
    style.rate_axis(axes)


def _legend(axes: Axes, title: str | None) -> None:
    axes.legend(
        title=title,
        title_fontsize=8,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=2,
        columnspacing=1,
        handletextpad=0.2,
    )
