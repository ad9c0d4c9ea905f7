"""Every head by its induction score and by what memorized rows lose without it."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import cells, style

GROUPS = ("memorized", "all")
"""Rows by which heads matter, the first that there are."""
ENDS = ("", "_low", "_high")


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a point for each head of its largest model, shaded by depth."""
    matter = style.largest(tables["heads"][tables["heads"]["model"].isin(tables["induction"]["model"])])
    matter = matter[(matter["rows"] == "natural") & (matter["domain"] == "all") & (matter["distinct"] >= style.FEWEST)]
    group = next((group for group in GROUPS if group in set(matter["group"])), "")
    matter = matter[matter["group"] == group]
    keys = ["model", "layer", "head"]
    told = tables["induction"][[*keys, "induction", "induction_low", "induction_high", "even"]]
    table = matter.merge(told, on=keys)
    families = style.families(table)
    if not families:
        return style.blank(f"No model has heads that were ablated in {style.FEWEST} distinct texts."), table
    overlap = tables["induction_overlap"]
    overlap = overlap[(overlap["rows"] == "natural") & (overlap["group"] == group) & (overlap["score"] == "induction")]
    overlap = overlap[overlap["measure"] == "log_probability"].set_index("model")
    figure, panels = style.family_panels(families)
    for family, axes in panels.items():
        part = table[table["family"] == family]
        _panel(axes, part)
        name = f"{style.name(family)}, {style.millions(part['parameters'].iloc[0])}, {style.rows_note(part)}"
        axes.set_title(f"{name}\n{_agreement(overlap.loc[part['model'].iloc[0]])}", fontsize=7)
        place = axes.get_subplotspec()
        if place and place.is_first_col():
            axes.set_ylabel("lost without the head,\nnats per token")
        axes.set_xlabel("induction score")
        axes.set_xlim(0, 1.05 * table["induction"].max())
    return figure, table


def _panel(axes: Axes, table: pd.DataFrame) -> None:
    axes.axvline(table["even"].iloc[0], color="0.6", linewidth=0.8)
    axes.axhline(0, color="0.6", linewidth=0.8)
    shades = style.shades(sorted(table["depth"].unique()))
    for depth, part in table.groupby("depth"):
        scores, lost = part["induction"], part["log_probability_drop"]
        axes.plot(scores, lost, linestyle="none", marker="o", markersize=4, color=shades[depth])


def _agreement(line: pd.Series) -> str:
    """Whether the heads that matter most are those of the highest score."""
    correlations = [
        f"{words} {cells.within(*(line[f'{name}{end}'] for end in ENDS))}"
        for name, words in (("rank_correlation", "rank correlation"), ("within_layers", "within layers"))
    ]
    shared = "of the first {} {:.0%} [{:.0%}, {:.0%}], chance {:.0%}".format(
        line["k"], *(line[f"shared{end}"] for end in ENDS), line["chance"]
    )
    return "\n".join([*correlations, shared])
