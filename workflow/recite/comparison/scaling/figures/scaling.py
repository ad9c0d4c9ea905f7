"""Memorization rate against model size, per family, with the fitted lines."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Left the natural rows, right the planted ones if there are any; a line per family, its slope in the legend."""
    natural = tables["rates"][tables["rates"]["domain"] == "natural"].assign(rows="natural")
    planted = tables["rates"][tables["rates"]["kind"] == "planted"].assign(rows="planted")
    points = pd.concat([natural, planted], ignore_index=True)
    titles = {"natural": "natural rows"} | ({"planted": "planted control rows"} if len(planted) else {})
    figure, panels = plt.subplots(1, len(titles), figsize=(4.1 * len(titles), 4.6), squeeze=False)
    for axes, (rows, title) in zip(panels[0], titles.items(), strict=True):
        part = points[points["rows"] == rows]
        lines, tests, predictions = (
            tables[name][tables[name]["rows"] == rows] for name in ("scaling", "slope_tests", "predictions")
        )
        _panel(axes, part, lines.set_index("family"), predictions)
        test = f"\none slope for all families: p = {tests['p_value'].iloc[0]:.2g}" if len(tests) else ""
        axes.set_title(f"{title}, {style.rows_note(part)} a model{test}")
    predicted = tables["predictions"][["rows", "model", "predicted", "predicted_low", "predicted_high"]]
    kept = ["rows", "model", "family", "parameters", "n", "distinct", "memorized", "rate", "rate_low", "rate_high"]
    fits = tables["scaling"].drop(columns=["models", "p_value", "q_value"])
    return figure, points[kept].merge(fits, on=["family", "rows"], how="left").merge(
        predicted, on=["rows", "model"], how="left"
    )


def _panel(axes: Axes, points: pd.DataFrame, lines: pd.DataFrame, predictions: pd.DataFrame) -> None:
    families = style.families(points)
    colours = style.colours(families)
    for family, marker in zip(families, style.MARKERS, strict=False):
        part = points[points["family"] == family].sort_values("parameters")
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
    axes.legend(
        title="slope: percentage points per tenfold size [interval]" if len(lines) else None,
        title_fontsize=8,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=2,
        columnspacing=1,
        handletextpad=0.2,
    )
