"""How alike models are in how a measure spreads over their layers: a matrix for each measure."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from recite.comparison.signatures.measures import MEASURES
from recite.report import matrix, style

COLUMNS = 2
"""Panels in a row."""
TALLEST = 19.5
"""Inches of all rows of panels."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per measure; above it whether families matter, and how often the nearest model is of the family."""
    table, tests = tables["signature_pairs"], tables["signature_tests"].set_index("measure")
    measures = [measure for measure in MEASURES if measure in set(table["measure"])]
    if not measures:
        return style.blank("No two models have a profile over layers."), table
    columns = min(COLUMNS, len(measures))
    rows = -(-len(measures) // columns)
    size = 0.15 * max(len(matrix.models_of(table[table["measure"] == measure])) for measure in measures) + 1.9
    size = min(size, TALLEST / rows - 0.5)
    figure, panels = plt.subplots(rows, columns, figsize=((size + 0.9) * columns, (size + 0.5) * rows), squeeze=False)
    for axes, measure in zip(panels.flat, measures, strict=False):
        matrix.draw_pairs(axes, table[table["measure"] == measure], "correlation over depth")
        axes.tick_params(labelsize=6)
        words = [MEASURES[measure]]
        if measure in tests.index:
            test = tests.loc[measure]
            words.append(
                f"within {test['within']:.2f}, between {test['between']:.2f}, p = {test['p_value']:.2g}\n"
                f"nearest is of the family: {test['identified']:.0f} of {test['asked']:.0f} "
                f"(chance {test['chance']:.0%})"
            )
        axes.set_title("\n".join(words), fontsize=8)
    for axes in panels.flat[len(measures) :]:
        axes.set_visible(False)
    return figure, table
