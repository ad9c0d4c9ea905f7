"""A panel per family with a line for every tolerance, against the size of its models or the strength of noise."""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style


def tolerance_panels(table: pd.DataFrame, against: str, told: Callable[[Axes, str, pd.DataFrame], object]) -> Figure:
    """Rates of recall against a column; `told` names a panel, given its family and the family's lines."""
    families = style.families(table)
    tolerances = sorted(table["tolerance"].unique())
    shades = style.shades(tolerances)
    figure, panels = style.family_panels(families, own=style.apart(table))
    for family, axes in panels.items():
        part = table[table["family"] == family]
        for tolerance, marker in zip(tolerances, style.MARKERS, strict=False):
            line = part[part["tolerance"] == tolerance].sort_values(against)
            label = "verbatim" if tolerance == 0 else f"{100 * tolerance:g}% of the tokens edited"
            style.rate_points(axes, line[against].to_numpy(float), line, shades[tolerance], marker, label, "-")
        told(axes, family, part)
    style.rate_axes(panels, "recalled rows")
    named = panels[families[0]].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=min(len(families), len(tolerances)))
    return figure
