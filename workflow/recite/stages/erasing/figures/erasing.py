"""Recall left against damage done, a panel a model, a line an intervention."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from recite.report import style
from recite.stages.erasing.shown import shown

LOOKS = {
    "noise": style.Look("#949494", "D"),
    "heads": style.Look("#0173b2", "o"),
    "sublayers": style.Look("#029e73", "^"),
    "neurons": style.Look("#d55e00", "s"),
}
LABELS = {"": "", "ranked": "", "random": ", at random"}
LINEAR = 0.1
"""Nats up to which damage is drawn on a linear scale."""
TICKS = (0, 0.05, 0.1, 0.5, 1, 2, 5, 10)
POINTS = 50
"""Of the line between two rungs, which is straight in nats."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Natural rows of each family's largest model; planted ones of a model without lines of natural ones."""
    table = shown(style.largest(tables["erasing"]))
    families = style.families(table)
    if not families:
        return style.blank(f"No model has memorized rows of {style.FEWEST} distinct texts to measure."), table
    figure, panels = style.family_panels(families)
    for family, axes in panels.items():
        part = table[table["family"] == family]
        for (name, order), line in part.groupby(["intervention", "order"]):
            _line(axes, line.sort_values("strength"), LOOKS[name], f"{name}{LABELS[order]}", order == "random")
        axes.set_xscale("symlog", linthresh=LINEAR)
        most = float(part["damage"].max())
        axes.xaxis.set_major_locator(FixedLocator(TICKS))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set_xlabel("damage: nats a token that others lose")
        axes.set_ylim(-0.03, 1.05)
        kind = "" if part["rows"].iloc[0] == "natural" else f", {part['rows'].iloc[0]}"
        counted = f"{style.rows_note(part)}{kind}\n{part['others'].iloc[0]} others, up to {most:.1f} nats"
        axes.set_title(f"{style.name(family)}, {style.millions(part['parameters'].iloc[0])}: {counted}", fontsize=8)
        place = axes.get_subplotspec()
        if place and place.is_first_col():
            axes.set_ylabel("recall left (score M)")
    legend: dict[str, Any] = {}
    for axes in panels.values():
        handles, labels = axes.get_legend_handles_labels()
        legend |= dict(zip(labels, handles, strict=True))
    figure.legend(list(legend.values()), list(legend), loc="outside lower center", ncols=3)
    return figure, table


def _line(axes: Axes, line: pd.DataFrame, look: style.Look, label: str, at_random: bool) -> None:
    """One ladder, from the whole model on, with the intervals of both axes."""
    errors, alpha = {}, 0.5 if at_random else 1
    for name in ("recall", "damage"):
        low, high = line[name] - line[f"{name}_low"], line[f"{name}_high"] - line[name]
        errors[name] = np.clip([low, high], 0, None)
    axes.errorbar(
        line["damage"],
        line["recall"],
        xerr=errors["damage"],
        yerr=errors["recall"],
        color=look.colour,
        linestyle="none",
        alpha=alpha,
        elinewidth=0.6,
    )
    at, rungs = np.linspace(0, len(line) - 1, POINTS * (len(line) - 1) + 1), np.arange(len(line))
    axes.plot(
        np.interp(at, rungs, line["damage"]),
        np.interp(at, rungs, line["recall"]),
        color=look.colour,
        linestyle="--" if at_random else "-",
        alpha=alpha,
        linewidth=1,
        marker=look.marker,
        markersize=4,
        markevery=POINTS,
        label=label,
    )
