"""Shares of rows that so many draws extract, beside greedy recitation."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from recite.report import style

EVEN = 0.5
"""The probability with which a draw is to meet the true continuation."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a curve over the number of draws and a dashed line for every model."""
    table = tables["extraction"]
    table = table[(table["domain"] == "natural") & (table["alpha"] == 0) & (table["scheme"] == "plain")]
    table = table[table["probability"] == EVEN]
    families = style.families(table)
    if not families:
        return style.blank("No natural rows."), table
    figure, panels = style.family_panels(families, own=style.apart(table))
    for family, axes in panels.items():
        part = table[table["family"] == family].sort_values(["parameters", "model", "draws"])
        models = list(part["model"].unique())
        shades = style.shades(list(range(len(models))))
        for place, model in enumerate(models):
            line = part[part["model"] == model]
            label, marker = style.millions(line["parameters"].iloc[0]), style.MARKERS[place % len(style.MARKERS)]
            style.rate_points(axes, line["draws"].to_numpy(float), line, shades[place], marker, label, "-")
            axes.axhline(line["greedy"].iloc[0], color=shades[place], linestyle="--", linewidth=1)
        axes.set(xscale="log", xlabel="draws", title=f"{style.name(family)}, {style.n_note(part['n'])}")
        axes.legend(loc="upper left")
    style.rate_axes(panels, "extractable rows")
    greedy = Line2D([], [], color="0.3", linestyle="--", linewidth=1)
    figure.legend([greedy], ["greedy, on the same rows"], loc="outside lower center")
    return figure, table
