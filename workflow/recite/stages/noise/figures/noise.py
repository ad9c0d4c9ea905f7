"""Memorization rate against the strength of noise in the residual stream."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style

DODGE = 0.008
"""How far apart, in units of alpha, the families' points stand."""


STRENGTH = "noise strength α (σ = α · RMS of the residual stream)"
MANY = 12
"""Models of which the lines no longer fit into one panel."""
WIDTH = 58
"""Characters of a panel's title."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row of panels per disturbed layer: left the natural rows, right the planted ones if there are any.

    Of many models, a panel per family instead.
    """
    rates = tables["noise_rates"]
    natural, planted = rates[rates["domain"] == "natural"], rates[rates["kind"] == "planted"]
    parts = {"natural rows": natural} | ({"planted control rows": planted} if len(planted) else {})
    layers = sorted(rates["noise_layer"].unique())
    if rates["model"].nunique() > MANY:
        return _families(parts, layers), pd.concat([natural, planted], ignore_index=True)
    size = (4.1 * len(parts), 3.3 * len(layers) + 0.9)
    figure, panels = plt.subplots(len(layers), len(parts), figsize=size, squeeze=False)
    for row, layer in zip(panels, layers, strict=True):
        for axes, (title, part) in zip(row, parts.items(), strict=True):
            _panel(axes, part[part["noise_layer"] == layer], f"{title}, layer {layer}")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure, pd.concat([natural, planted], ignore_index=True)


def _families(parts: dict[str, pd.DataFrame], layers: list[int]) -> Figure:
    """A panel per layer, kind of rows and family, its models from light to dark by size."""
    families = style.families(parts["natural rows"])
    keys = [(title, layer, family) for layer in layers for title in parts for family in families]
    figure, panels = style.family_panels(keys, own=style.apart(parts["natural rows"]))
    for (title, layer, family), axes in panels.items():
        part = parts[title]
        part = part[(part["noise_layer"] == layer) & (part["family"] == family)].sort_values("parameters")
        models = list(dict.fromkeys(part["model"]))
        for place, (model, shade) in enumerate(style.shades(models).items()):
            line = part[part["model"] == model].sort_values("alpha")
            x = line["alpha"].to_numpy() + DODGE * (place - (len(models) - 1) / 2)
            label = style.millions(line["parameters"].iloc[0])
            style.rate_points(axes, x, line, shade, style.MARKERS[place % len(style.MARKERS)], label, "-")
        axes.set_title(f"{style.name(family)}, {title}, layer {layer}, {style.n_note(part['n'])}", fontsize=8)
        axes.legend(loc="upper right")
    style.rate_axes(panels, "memorized rows")
    figure.supxlabel(STRENGTH, fontsize=9)
    return figure


def _panel(axes: Axes, table: pd.DataFrame, title: str) -> None:
    families = style.families(table)
    colours = style.colours(families)
    for index, (family, marker) in enumerate(zip(families, style.MARKERS, strict=False)):
        shift = DODGE * (index - (len(families) - 1) / 2)
        for _, line in table[table["family"] == family].groupby("model"):
            line = line.sort_values("alpha")
            label = f"{style.name(family)}, {style.millions(line['parameters'].iloc[0])}"
            style.rate_points(axes, line["alpha"].to_numpy() + shift, line, colours[family], marker, label, "-")
    axes.set_xlabel(STRENGTH)
    axes.set_title(style.wrapped(f"{title}, {style.rows_note(table)} a point", WIDTH))
    style.rate_axis(axes)
