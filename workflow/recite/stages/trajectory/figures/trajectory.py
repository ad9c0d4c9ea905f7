"""Rates along the training: natural rows, and planted ones by copies."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from recite.report import style

COLUMNS = 3
"""Panels in a row."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per model, a line for natural rows and one for every number of copies."""
    table = tables["trajectory"]
    table = table[table["domain"].eq("natural") | table["kind"].eq("planted")]
    models = [model for family in style.families(table) for model in _models(table[table["family"] == family])]
    if not models:
        return style.blank("No rows."), table
    wide = min(COLUMNS, len(models))
    high = -(-len(models) // wide)
    inches = (3.4 * wide + 1.4, 2.9 * high)
    figure, panels = plt.subplots(high, wide, figsize=inches, squeeze=False, sharex=True, sharey=True)
    shades = style.shades(sorted(table.loc[table["kind"] == "planted", "copies"].unique()))
    for axes in panels.flat[len(models) :]:
        axes.set_visible(False)
    for axes, model in zip(panels.flat, models, strict=False):
        part = table[table["model"] == model].sort_values("step")
        natural = part[part["domain"] == "natural"]
        style.rate_points(axes, natural["progress"].to_numpy(), natural, "black", "s", "natural", "--")
        for (copies, shade), marker in zip(shades.items(), style.MARKERS, strict=False):
            line = part[(part["kind"] == "planted") & (part["copies"] == copies)]
            style.rate_points(
                axes,
                line["progress"].to_numpy(),
                line,
                shade,
                marker,
                f"{copies:g} {'copy' if copies == 1 else 'copies'}",
                "-",
            )
        steps = int(part["step"].max())
        size = style.millions(part["parameters"].iloc[0])
        axes.set_title(f"{style.name(part['family'].iloc[0])}, {size}, {steps:,} steps")
        axes.set_xlim(0, 1.04)
    for axes in panels[:, 0]:
        style.rate_axis(axes, "memorized rows")
    figure.supxlabel(f"share of the training ({style.rows_note(table)} a point)", fontsize=9)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside right center")
    return figure, table


def _models(table: pd.DataFrame) -> list[str]:
    """Models of a family by size."""
    return list(table.sort_values(["parameters", "model"])["model"].unique())
