"""What the estimators of dimension give on manifolds of known dimension."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

from recite.report import style

ESTIMATORS = {"maximum_likelihood": "maximum likelihood", "two_nn": "TwoNN"}
LINES = {"ball": "-", "gaussian": "--"}


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per estimator, a line per manifold and number of points."""
    table = tables["dimension_known"]
    if table.empty:
        return style.blank("No class has texts enough."), table
    ends = sorted({table["n"].min(), table["n"].max()})
    table = table[table["n"].isin(ends)]
    figure, panels = plt.subplots(1, len(ESTIMATORS), figsize=(7.4, 3.6), squeeze=False, sharex=True, sharey=True)
    colours = style.colours([str(n) for n in ends])
    for axes, (estimator, words) in zip(panels[0], ESTIMATORS.items(), strict=True):
        dimensions = table["dimension"].unique()
        axes.plot(dimensions, dimensions, color="0.3", linewidth=0.8, linestyle=":")
        part = table[table["estimator"] == estimator]
        for (n, manifold), line in part.groupby(["n", "manifold"]):
            axes.errorbar(
                line["dimension"],
                line["estimate"],
                yerr=line["spread"],
                color=colours[str(n)],
                linestyle=LINES[str(manifold)],
                label=f"{manifold}, n = {n}",
                linewidth=1,
                capsize=1.5,
                elinewidth=0.6,
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.xaxis.set_major_formatter(FormatStrFormatter("%d"))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%d"))
        axes.set_title(words)
        axes.set_xlabel("true dimension")
    panels[0, 0].set_ylabel("estimate")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure, table
