"""The claims ledger: every claim's statistic with its interval, relative to its bound, and the verdict."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from recite.report import style

COLOURS = {"supported": "#0173b2", "undecided": "0.5", "not supported": "#d55e00", "not measured": "0.7"}
OTHER_SCALE = ("family_divergence",)
"""Claims whose families' own values are not on the statistic's scale: rates under a ratio of rates."""
WRAP = 46
"""Characters of a claim in a line."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A line per claim: the interval against the bound, both in units of the interval's and the bound's own range."""
    table, families = tables["claims"], tables["claim_families"]
    figure, axes = plt.subplots(figsize=(8.2, 0.55 * len(table) + 1.2))
    for place, line in enumerate(table.itertuples()):
        colour = COLOURS[line.verdict]
        sign, bound = line.rule.split()[0], float(line.rule.split()[1])
        if line.verdict == "not measured":
            words = "not measured"
        else:
            own = families.loc[families["claim"] == line.claim, "value"].to_numpy()
            if line.claim in OTHER_SCALE:
                own = own[:0]
            ends = np.array([line.value, line.low, line.high, line.families_low, line.families_high, *own])
            known = np.abs(ends[np.isfinite(ends)] - bound)
            reach = known.max() or 1.0
            value, low, high, families_low, families_high, *marks = np.clip((ends - bound) / reach, -1.05, 1.05)
            axes.plot([families_low, families_high], [place, place], color=colour, linewidth=1)
            axes.plot([low, high], [place, place], color=colour, linewidth=4, alpha=0.5, solid_capstyle="butt")
            axes.plot(marks, [place] * len(marks), "|", color="0.25", markersize=7)
            axes.plot(value, place, "o", color=colour, markersize=5)
            shown = (line.families_low, line.families_high) if line.over == "families" else (line.low, line.high)
            words = f"{line.value:.3g} [{shown[0]:.3g}, {shown[1]:.3g}] {sign} {bound:g}: {line.verdict}"
        axes.text(1.12, place, words, va="center", fontsize=8, color=colour)
    axes.axvline(0, color="0.3", linewidth=1)
    axes.set_xlim(-1.08, 1.08)
    axes.set_xticks([-1, 0, 1], ["below", "bound", "above"])
    axes.set_yticks(np.arange(len(table)), [style.wrapped(text, WRAP) for text in table["text"]], fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    return figure, table
