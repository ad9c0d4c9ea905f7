"""Which models cluster together by how a measure spreads over their layers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from recite.comparison.signatures.measures import MEASURES
from recite.report import matrix, style

FEWEST = 3
"""Models without which there is no tree."""
COLUMNS = 2
"""Panels in a row."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A tree per measure: average linkage of 1 - correlation; a model's name has its family's colour."""
    table = tables["signature_pairs"]
    parts = {measure: _defined(table[table["measure"] == measure]) for measure in MEASURES}
    parts = {measure: part for measure, part in parts.items() if part["similarity"].notna().sum() >= FEWEST}
    if not parts:
        return style.blank("No three models have a profile over layers."), table.iloc[:0]
    columns = min(COLUMNS, len(parts))
    rows = -(-len(parts) // columns)
    most = max(len(matrix.models_of(part)) for part in parts.values())
    size = (4.1 * columns, (0.16 * most + 1.1) * rows)
    figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False)
    colours = style.colours(style.families(pd.concat([matrix.models_of(part) for part in parts.values()])))
    for axes, (measure, part) in zip(panels.flat, parts.items(), strict=False):
        _tree(axes, part, colours)
        axes.set_title(MEASURES[measure])
        axes.set_xlabel("1 - correlation over depth")
    for axes in panels.flat[len(parts) :]:
        axes.set_visible(False)
    return figure, pd.concat(parts.values(), ignore_index=True)


def _defined(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs of those models whose profiles are not flat."""
    matrix_ = matrix.matrix_of(pairs, matrix.models_of(pairs))
    kept = matrix_.index[matrix_.notna().any()]
    return pairs[pairs["model_a"].isin(kept) & pairs["model_b"].isin(kept)]


def _tree(axes: Axes, pairs: pd.DataFrame, colours: dict[str, tuple[float, float, float]]) -> None:
    models = matrix.models_of(pairs)
    distance = 1 - matrix.matrix_of(pairs, models).to_numpy()
    np.fill_diagonal(distance, 0)
    linkage = hierarchy.average(squareform(np.clip(distance, 0, None), checks=False))
    labels = matrix.labels_of(models)
    tree = hierarchy.dendrogram(
        linkage, orientation="left", labels=labels, ax=axes, color_threshold=0, above_threshold_color="0.4"
    )
    for text, place in zip(axes.get_yticklabels(), tree["leaves"], strict=True):
        text.set(color=colours[models["family"].iloc[place]], fontsize=7)
    axes.grid(visible=False)
