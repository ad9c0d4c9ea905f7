"""Pairs of models as a matrix, by family and size."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from recite.report import style

COLUMNS = ["model", "family", "parameters"]


def models_of(pairs: pd.DataFrame) -> pd.DataFrame:
    """The models of a table of pairs, by family, then size: index model, columns family and parameters."""
    sides = [pairs[[f"{name}_{side}" for name in COLUMNS]].set_axis(COLUMNS, axis=1) for side in "ab"]
    models = pd.concat(sides).drop_duplicates("model").set_index("model")
    order = [
        model
        for family in style.families(models)
        for model in models[models["family"] == family].sort_values("parameters").index
    ]
    return models.loc[order]


def matrix_of(pairs: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """The pairs' similarity, a row and a column per model; NaN on the diagonal and where it is not defined."""
    matrix = pd.DataFrame(np.nan, index=models.index, columns=models.index)
    for pair in pairs.itertuples():
        matrix.loc[pair.model_a, pair.model_b] = matrix.loc[pair.model_b, pair.model_a] = pair.similarity
    return matrix


def labels_of(models: pd.DataFrame) -> list[str]:
    """Family and size of every model."""
    return [f"{style.name(line.family)}, {style.millions(line.parameters)}" for line in models.itertuples()]


def draw_pairs(axes: Axes, pairs: pd.DataFrame, words: str) -> None:
    """Draw the matrix, with white lines between families; `words` say what a colour means."""
    models = models_of(pairs)
    labels = labels_of(models)
    mesh = style.heat_map(axes, matrix_of(pairs, models), rows=labels, columns=labels, vmin=-1, vmax=1, cmap="vlag")
    axes.set_aspect("equal")
    axes.tick_params(axis="x", labelrotation=90)
    axes.figure.colorbar(mesh, ax=axes, label=words, shrink=0.7).outline.set_linewidth(0)
    families = models["family"].tolist()
    borders = [place for place in range(1, len(families)) if families[place] != families[place - 1]]
    axes.hlines(borders, *axes.get_xlim(), color="white", linewidth=2)
    axes.vlines(borders, *axes.get_ylim(), color="white", linewidth=2)
    axes.tick_params(labelsize=7)
