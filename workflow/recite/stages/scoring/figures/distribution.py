"""How the memorization score is distributed: a line per model, a column per number of hits."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from recite.report import style


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Share of natural rows by number of hits, as a heat map with a logarithmic scale."""
    table = tables["distribution"]
    models = table.drop_duplicates("model").set_index("model")
    order = [
        model
        for family in style.families(table)
        for model in models[models["family"] == family].sort_values("parameters").index
    ]
    shares = table.pivot(index="model", columns="hits", values="share").loc[order]
    figure, axes = plt.subplots(figsize=(8.2, 0.19 * len(order) + 1.6))
    shown = shares.where(shares > 0)
    names = [f"{style.name(models.loc[m, 'family'])}, {style.millions(models.loc[m, 'parameters'])}" for m in order]
    norm = LogNorm(vmin=float(shown.min().min()), vmax=1)
    mesh = style.heat_map(axes, shown, rows=names, every=(1, 4), norm=norm, cmap="crest")
    figure.colorbar(mesh, ax=axes, label="share of natural rows").outline.set_linewidth(0)
    families = models.loc[order, "family"].tolist()
    borders = [place for place in range(1, len(families)) if families[place] != families[place - 1]]
    axes.hlines(borders, *axes.get_xlim(), color="white", linewidth=3)
    axes.tick_params(axis="y", labelsize=7)
    rows = table.groupby("model")["n"].sum()
    axes.set_xlabel(f"hits among {int(table['hits'].max())} continuation tokens, {style.n_note(rows)} rows a model")
    return figure, table
