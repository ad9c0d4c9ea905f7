"""How alike models are in which classes of text they memorize: a matrix of correlations."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from recite.report import matrix, style


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row and a column per model, by family and size; blank where two share too few classes or nothing is left."""
    table = tables["profiles"]
    if table.empty:
        return style.blank("No two models memorize enough rows of enough common classes of text."), table
    size = 0.2 * len(matrix.models_of(table)) + 2.4
    figure, axes = plt.subplots(figsize=(size + 0.6, size + 0.2))
    matrix.draw_pairs(axes, table, "correlation of the rates by class of text")
    axes.set_xlabel(f"{style.n_note(table['classes'])} classes and {style.n_note(table['rows'])} rows a pair")
    return figure, table
