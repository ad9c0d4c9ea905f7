"""How much of their contexts memorized rows need: all natural rows together, and by domain."""

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style
from recite.report.domain_rows import domain_rows

DODGE = 0.012
"""How far apart, in units of the ratio, the intervals at half the context stand."""
KINDS = ["structural", "free_text", "planted", "held_out"]
FEWEST = 5
"""Distinct texts that a bootstrap over texts needs for its interval to be drawn."""
RATIO = "shortest sufficient suffix / context"


class Look(NamedTuple):
    """How a family is drawn; shift: its place among the families, about 0."""

    colour: Any
    marker: str
    shift: float


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Above a curve per model, each family's largest thick; below a row per domain and a point per largest model."""
    table, lengths = tables["compressibility"], tables["suffix_lengths"]
    if table.empty:
        return style.blank("No model recites a row whole."), table
    families = style.families(table)
    colours = style.colours(families)
    looks = {
        family: Look(colours[family], style.MARKERS[place % len(style.MARKERS)], place - (len(families) - 1) / 2)
        for place, family in enumerate(families)
    }
    largest = style.largest(table)
    natural, single = largest[largest["domain"] == "natural"], largest[largest["domain"] != "natural"]
    reached = lengths.groupby("model")["shortest"].cumsum() / lengths["n"]
    curves = lengths.drop(columns=["shortest_share", "sufficient", "sufficient_share"]).assign(reached=reached)
    domains = single.drop_duplicates("domain").sort_values("domain")
    domains = domains.sort_values("kind", key=lambda kinds: kinds.map(KINDS.index), kind="stable")
    rows = domain_rows(single, domains)
    heights = [3.0, rows.inches]
    figure, (above, below) = plt.subplots(2, 1, figsize=(7.2, sum(heights) + 1.7), height_ratios=heights)
    _curves(above, curves, natural, looks)
    _ratios(below, single, rows.points, looks)
    rows.name(below)
    for axes in (above, below):
        axes.axvline(0.5, color="0.4", linewidth=0.8, linestyle=":")
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    handles, labels = below.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure, pd.concat([curves.assign(domain="natural"), largest], ignore_index=True)


def _curves(axes: Axes, curves: pd.DataFrame, natural: pd.DataFrame, looks: dict[str, Look]) -> None:
    """Share of rows that a suffix of some length, or a shorter one, suffices for; its interval at half the context."""
    thick = set(natural["model"])
    for (family, model), curve in curves.groupby(["family", "model"]):
        ratios, shares = [0, *curve["ratio"]], [0, *curve["reached"]]
        axes.step(ratios, shares, where="post", color=looks[family].colour, linewidth=1.6 if model in thick else 0.5)
    for family, part in natural.groupby("family"):
        low, high = part["short"] - part["short_low"], part["short_high"] - part["short"]
        place = 0.5 + DODGE * looks[family].shift
        _points(axes, np.full(len(part), place), part["short"], looks[family], yerr=np.clip([low, high], 0, None))
    rows = f"{style.rows_note(natural)} a thick line" if len(natural) else "none"
    axes.set_title(f"memorized natural rows, {rows}")
    axes.set_xlabel(f"{RATIO}, at most")
    style.rate_axis(axes)


def _ratios(axes: Axes, table: pd.DataFrame, places: pd.Series, looks: dict[str, Look]) -> None:
    """Mean ratios by domain; hollow, and without an interval, where the texts are too few for one."""
    for family, look in looks.items():
        part = table[table["family"] == family]
        y = places[part.index]
        low, high = part["mean_ratio"] - part["mean_ratio_low"], part["mean_ratio_high"] - part["mean_ratio"]
        errors, many = np.clip([low, high], 0, None), part["distinct"] >= FEWEST
        label = f"{style.name(family)}, {style.millions(part['parameters'].iloc[0])}"
        _points(axes, part["mean_ratio"][many], y[many], look, label=label, xerr=errors[:, many])
        _points(axes, part["mean_ratio"][~many], y[~many], look, markerfacecolor="white")
    axes.set_xlabel(f"mean of {RATIO},\n{style.rows_note(table)} a point")


def _points(axes: Axes, x: Any, y: Any, look: Look, **more: Any) -> None:
    axes.errorbar(x, y, color=look.colour, fmt=look.marker, markersize=4, capsize=2, linewidth=1, **more)
