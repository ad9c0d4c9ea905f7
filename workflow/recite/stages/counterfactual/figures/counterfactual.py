"""Scores and recited rows of texts in the training and left out of it, planted ones by copies."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from recite.report import style

LOOKS = {
    "in": ("in the training", style.Look("#d55e00", "o")),
    "out": ("left out", style.Look("#0173b2", "s")),
}
PANELS = {"mean": "mean score M", "rate": "recited rows"}


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel for scores and one for shares; natural rows first, then planted ones by copies."""
    table = tables["counterfactual"]
    table = table[table["domain"].eq("natural") | table["kind"].eq("planted")]
    table = table.sort_values(["kind", "copies"])
    if table.empty:
        return style.blank("No rows."), table
    labels = ["natural" if row.domain == "natural" else f"{row.copies}" for row in table.itertuples()]
    figure, panels = plt.subplots(1, len(PANELS), figsize=(3.9 * len(PANELS) + 1.2, 3.4), sharex=True)
    for axes, (name, label) in zip(panels, PANELS.items(), strict=True):
        for shift, (side, (words, look)) in zip((-0.08, 0.08), LOOKS.items(), strict=True):
            names = {f"{name}_{side}{end}": f"rate{end}" for end in ("", "_low", "_high")}
            line = table[list(names)].rename(columns=names)
            style.rate_points(axes, np.arange(len(table)) + shift, line, look.colour, look.marker, words)
        style.rate_axis(axes, label)
        axes.set_xticks(np.arange(len(table)), labels)
    first = table.iloc[0]
    about = f"{style.name(first['family'])}, {style.millions(first['parameters'])}; seeds: {first['seeds']}"
    figure.supxlabel(f"planted copies of the text ({about}; {style.rows_note(table)} a point)", fontsize=9)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    return figure, table
