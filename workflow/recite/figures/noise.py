"""Memorization rate against the strength of noise in the residual stream."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from recite.figures import style


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Left the natural rows, right the planted ones; a line per disturbed model."""
    rates = tables["noise_rates"]
    table = rates[(rates["domain"] == "natural") | (rates["kind"] == "planted")]
    families = style.families(table)
    colours = style.colours(families)
    figure, panels = plt.subplots(1, 2, figsize=(8.2, 3.6))
    for axes, (title, part) in zip(
        panels,
        (
            ("natural rows", table[table["domain"] == "natural"]),
            ("planted control rows", table[table["kind"] == "planted"]),
        ),
        strict=True,
    ):
        for family, marker in zip(families, style.MARKERS, strict=False):
            for _, line in part[part["family"] == family].groupby("model"):
                line = line.sort_values("alpha")
                label = f"{style.name(family)} {style.millions(line['parameters'].iloc[0])}"
                style.rate_points(axes, line["alpha"].to_numpy(), line, colours[family], marker, label, "-")
        axes.set_xlabel("noise strength α (σ = α · RMS of the residual stream)")
        axes.set_title(f"{title}, {style.n_note(part['n'])} a point")
        style.rate_axis(axes)
    panels[1].legend(loc="best")
    return figure, table
