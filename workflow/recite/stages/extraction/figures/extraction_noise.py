"""Shares of rows that so many draws extract, against the strength of noise."""

import pandas as pd
from matplotlib.figure import Figure

from recite.report import style

EVEN = 0.5
"""The probability with which a draw is to meet the true continuation."""
SHOWN = (1, 100, 10_000)
"""Numbers of draws."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a line for some numbers of draws from its largest disturbed model."""
    table = style.disturbed(tables["extraction"])
    table = table[(table["scheme"] == "plain") & (table["probability"] == EVEN)]
    families = style.families(table)
    if not families:
        return style.blank("No model is disturbed, or there are no natural rows."), table
    shades = style.shades(SHOWN)
    figure, panels = style.family_panels(families, own=style.apart(table))
    for family, axes in panels.items():
        part = table[table["family"] == family].sort_values("alpha")
        for draws, marker in zip(SHOWN, style.MARKERS, strict=False):
            line = part[part["draws"] == draws]
            label = f"{draws:,} draws" if draws > 1 else "1 draw"
            style.rate_points(axes, line["alpha"].to_numpy(float), line, shades[draws], marker, label, "-")
        axes.plot(line["alpha"], line["greedy"], color="0.3", linestyle="--", linewidth=1, label="greedy")
        axes.set(xlabel="noise strength α", title=style.model_note(family, part))
    style.rate_axes(panels, "extractable rows")
    named = panels[families[0]].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=2 * min(len(families), 2))
    return figure, table
