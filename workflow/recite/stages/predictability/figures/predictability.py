"""Rates, rates corrected for what is predictable, and rates of rows never trained on, against model size."""

import pandas as pd
from matplotlib.figure import Figure

from recite.report import style

LINES = {
    "recited": style.Look("#949494", "o"),
    "recited, and not predictable": style.Look("#d55e00", "s"),
    "recited, never trained on": style.Look("#0173b2", "D"),
}


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a line for each rate."""
    table = tables["predictability"]
    table = table[table["domain"].isin(["natural", "unseen"])]
    natural = table[table["domain"] == "natural"]
    families = style.families(natural)
    if not families:
        return style.blank("No natural rows."), table
    figure, panels = style.family_panels(families, own=style.apart(natural))
    shown = (natural, _as_rate(natural), table[table["domain"] == "unseen"])
    for family, axes in panels.items():
        for (label, look), lines in zip(LINES.items(), shown, strict=True):
            line = lines[lines["family"] == family].sort_values("parameters")
            if len(line):
                sizes = line["parameters"].to_numpy(float)
                style.rate_points(axes, sizes, line, look.colour, look.marker, label, "-")
            if label == "recited":  # often hidden behind the next
                axes.plot(
                    sizes, line["rate"], look.marker + "-", color=look.colour, markersize=10, linewidth=6, alpha=0.4
                )
        axes.set_title(f"{style.name(family)}, {style.n_note(natural.loc[natural['family'] == family, 'n'])}")
    for axes in panels.values():
        style.size_axis(axes)
    style.rate_axes(panels, "recited rows")
    figure.legend(*panels[families[0]].get_legend_handles_labels(), loc="outside lower center", ncols=len(LINES))
    return figure, table


def _as_rate(table: pd.DataFrame) -> pd.DataFrame:
    """The corrected rates in the columns of the rates."""
    rates = ["rate", "rate_low", "rate_high"]
    return table.drop(columns=rates).rename(columns={name.replace("rate", "corrected"): name for name in rates})
