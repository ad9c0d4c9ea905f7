"""Structural share of the memorized rows, by model size and by noise strength."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style

DODGE = 0.008
"""How far apart, in units of alpha, the families' points stand."""
KEPT = ["model", "family", "parameters", "noise_layer", "alpha", "n", "memorized", "structural", "free_text"]
FEWEST = 10
"""Memorized rows that a share needs to be drawn."""
SHARE = ["structural_share", "structural_share_low", "structural_share_high"]


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Left the undisturbed models by size, right those disturbed in the first layer by strength if there are any."""
    table = tables["kinds"][KEPT + SHARE]
    table = table[table["structural_share"].notna() & (table["memorized"] >= FEWEST)]
    if table.empty:
        return style.blank("No model memorizes enough rows of both kinds."), table
    undisturbed = table["alpha"] == 0
    disturbed = style.first_layer(table[~undisturbed])
    table = pd.concat([table[undisturbed], disturbed])
    disturbed = table[table["model"].isin(disturbed["model"])]
    figure, panels = plt.subplots(
        1, 2 if len(disturbed) else 1, figsize=(8.2 if len(disturbed) else 4.6, 4.4), squeeze=False, sharey=True
    )
    families = style.families(table)
    colours = style.colours(families)
    for index, (family, marker) in enumerate(zip(families, style.MARKERS, strict=False)):
        shift = index - (len(families) - 1) / 2
        part = table[(table["family"] == family) & (table["alpha"] == 0)].sort_values("parameters")
        place = part["parameters"].to_numpy(float) * (1 + 0.04 * shift)
        _points(panels[0, 0], place, part, colours[family], marker, style.name(family))
        for _, line in disturbed[disturbed["family"] == family].groupby("model"):
            line = line.sort_values("alpha")
            _points(panels[0, 1], line["alpha"].to_numpy() + DODGE * shift, line, colours[family], marker)
    style.size_axis(panels[0, 0], f"parameters ({style.n_note(table['n'])} rows a model)")
    panels[0, 0].set_ylabel("structural share of memorized rows")
    panels[0, 0].yaxis.set_major_formatter(PercentFormatter(1))
    panels[0, 0].set_ylim(-0.03, 1.03)
    if len(disturbed):
        panels[0, 1].set_xlabel("noise strength α (σ = α · RMS of the residual stream)")
    for axes in panels[0]:
        axes.axhline(0.5, color="0.4", linewidth=0.8, linestyle=":")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure, table


def _points(
    axes: Axes, x: np.ndarray, table: pd.DataFrame, colour: object, marker: str, label: str | None = None
) -> None:
    share = table["structural_share"]
    errors = np.clip([share - table["structural_share_low"], table["structural_share_high"] - share], 0, None)
    axes.errorbar(
        x,
        share,
        yerr=errors,
        color=colour,
        marker=marker,
        label=label,
        markersize=4,
        capsize=2,
        linewidth=1,
        elinewidth=0.6,
    )
