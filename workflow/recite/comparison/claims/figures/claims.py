"""The claims ledger: every claim's statistic with its interval, relative to its bound, and the verdict."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from recite.report import style

COLOURS = {"supported": "#0173b2", "undecided": "0.5", "not supported": "#d55e00", "not measured": "0.7"}
WRAP = 46
"""Characters of a claim in a line."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A line per claim: the interval against the bound, both in units of the interval's and the bound's own range."""
    table = tables["claims"]
    figure, axes = plt.subplots(figsize=(8.2, 0.55 * len(table) + 1.2))
    for place, line in enumerate(table.itertuples()):
        colour = COLOURS[line.verdict]
        sign, bound = line.rule.split()[0], float(line.rule.split()[1])
        if line.verdict == "not measured":
            words = "not measured"
        else:
            reach = max(abs(line.low - bound), abs(line.high - bound), abs(line.value - bound)) or 1.0
            low, value, high = ((end - bound) / reach for end in (line.low, line.value, line.high))
            axes.errorbar(
                value, place, xerr=[[value - low], [high - value]], fmt="o", color=colour, capsize=3, markersize=5
            )
            words = f"{line.value:.3g} [{line.low:.3g}, {line.high:.3g}] {sign} {bound:g}: {line.verdict}"
        axes.text(1.12, place, words, va="center", fontsize=8, color=colour)
    axes.axvline(0, color="0.3", linewidth=1)
    axes.set_xlim(-1.08, 1.08)
    axes.set_xticks([-1, 0, 1], ["below", "bound", "above"])
    axes.set_yticks(np.arange(len(table)), [style.wrapped(text, WRAP) for text in table["text"]], fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    return figure, table
