"""How many of the heads that matter most a first-order estimate puts forward, against how many it puts forward."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style
from recite.stages.heads.shown import preferred

MEASURES = {"hits": "the score M", "log_probability": "log-probability"}
DODGE = 0.006
"""How far apart, in units of the share, the points of two models stand."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per measure of importance, a line for each family's largest model, natural rows of all domains."""
    table = style.largest(tables["screening"])
    table = preferred(table[(table["rows"] == "natural") & (table["domain"] == "all")])
    if table.empty:
        return style.blank(f"No natural rows of {style.FEWEST} distinct texts."), table
    families = style.families(table)
    colours = style.colours(families)
    figure, panels = plt.subplots(1, 2, figsize=(7.6, 3.9), sharex=True, sharey=True)
    for axes, (measure, words) in zip(panels, MEASURES.items(), strict=True):
        for place, family in enumerate(families):
            line = table[(table["family"] == family) & (table["measure"] == measure)].sort_values("share")
            low, high = line["recall"] - line["recall_low"], line["recall_high"] - line["recall"]
            axes.errorbar(
                line["share"] + DODGE * (place - (len(families) - 1) / 2),
                line["recall"],
                yerr=np.clip([low, high], 0, None),
                color=colours[family],
                marker=style.MARKERS[place % len(style.MARKERS)],
                label=f"{style.name(family)}, {style.millions(line['parameters'].iloc[0])}",
                markersize=4,
                capsize=2,
                linewidth=1,
            )
        shares = table.drop_duplicates("share").sort_values("share")
        axes.plot(shares["share"], shares["share"], color="0.4", linewidth=0.8, linestyle=":", label="chance")
        axes.set_title(f"by the drop in {words}", fontsize=9)
        axes.set_xlabel(f"share of heads put forward\n{style.rows_note(table)} a line")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_ylim(-0.03, 1.03)
    panels[0].set_ylabel("of the fifth that matters most")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure, table
