"""How alike models are in which domains they memorize: a matrix of correlations."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from recite.figures import style

COLUMNS = ["model", "family", "parameters"]


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row and a column per model, by family and size; blank where two models share too few domains or one is flat."""
    table = tables["profiles"]
    if table.empty:
        return style.blank("No two models memorize enough rows of enough common domains."), table
    sides = [
        table[["model_" + side, "family_" + side, "parameters_" + side]].set_axis(COLUMNS, axis=1) for side in "ab"
    ]
    models = pd.concat(sides).drop_duplicates("model").set_index("model")
    order = [
        model
        for family in style.families(models)
        for model in models[models["family"] == family].sort_values("parameters").index
    ]
    matrix = pd.DataFrame(np.nan, index=order, columns=order)
    for pair in table.itertuples():
        matrix.loc[pair.model_a, pair.model_b] = matrix.loc[pair.model_b, pair.model_a] = pair.similarity
    labels = [f"{style.name(models.loc[m, 'family'])}, {style.millions(models.loc[m, 'parameters'])}" for m in order]
    size = 0.2 * len(order) + 2.4
    figure, axes = plt.subplots(figsize=(size + 0.6, size + 0.2))
    sns.heatmap(
        matrix,
        vmin=-1,
        vmax=1,
        cmap="vlag",
        square=True,
        xticklabels=labels,
        yticklabels=labels,
        cbar_kws={"label": "correlation of the rates by domain", "shrink": 0.7},
        ax=axes,
    )
    families = models.loc[order, "family"].tolist()
    borders = [place for place in range(1, len(families)) if families[place] != families[place - 1]]
    axes.hlines(borders, *axes.get_xlim(), color="white", linewidth=2)
    axes.vlines(borders, *axes.get_ylim(), color="white", linewidth=2)
    axes.grid(visible=False)
    axes.tick_params(labelsize=7)
    axes.set_xlabel(f"{style.n_note(table['domains'])} domains and {style.n_note(table['rows'])} rows a pair")
    return figure, table
