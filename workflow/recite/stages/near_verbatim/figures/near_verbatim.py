"""Rates of recall within a tolerance, against model size."""

import pandas as pd
from matplotlib.figure import Figure

from recite.report import style


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a line for every tolerance."""
    table = tables["near_verbatim"]
    table = table[(table["domain"] == "natural") & (table["alpha"] == 0)]
    families = style.families(table)
    if not families:
        return style.blank("No natural rows."), table
    tolerances = sorted(table["tolerance"].unique())
    shades = style.shades(tolerances)
    figure, panels = style.family_panels(families)
    for family, axes in panels.items():
        part = table[table["family"] == family]
        for tolerance, marker in zip(tolerances, style.MARKERS, strict=False):
            line = part[part["tolerance"] == tolerance].sort_values("parameters")
            label = "verbatim" if tolerance == 0 else f"{100 * tolerance:g}% of the tokens edited"
            style.rate_points(axes, line["parameters"].to_numpy(float), line, shades[tolerance], marker, label, "-")
        axes.set(xscale="log", xlabel="parameters", title=f"{style.name(family)}, {style.n_note(part['n'])}")
    style.rate_axes(panels, "recalled rows")
    named = panels[families[0]].get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=min(len(families), len(tolerances)))
    return figure, table
