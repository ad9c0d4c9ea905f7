"""How the memorization score is distributed: a panel per family, a line per size."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from recite.figures import style


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Share of natural rows by number of hits, on a logarithmic axis; empty counts are left out."""
    table = tables["distribution"]
    families = style.families(table)
    columns = min(3, len(families))
    rows = -(-len(families) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(8.2, 2.4 * rows), sharex=True, sharey=True, squeeze=False)
    for axes, family in zip(panels.flat, families, strict=False):
        part = table[table["family"] == family]
        shades = style.shades(sorted(part["parameters"].unique()))
        for parameters, colour in shades.items():
            line = part[(part["parameters"] == parameters) & (part["n"] > 0)]
            axes.plot(
                line["hits"],
                line["share"],
                "o-",
                color=colour,
                markersize=2.5,
                linewidth=0.8,
                label=style.millions(parameters),
            )
        axes.set_title(f"{style.name(family)}, {style.n_note(part.groupby('model')['n'].sum())}")
        axes.set_yscale("log")
        axes.legend(title="parameters", title_fontsize=7, fontsize=7, loc="upper center", ncols=2)
    for axes in panels.flat[len(families) :]:
        axes.set_visible(False)
    figure.supxlabel(f"hits among {int(table['hits'].max())} continuation tokens", fontsize=9)
    figure.supylabel("share of natural rows", fontsize=9)
    return figure, table
