"""Memorization rate by domain, the largest model of each family."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A row per natural domain, structural ones first; a point with its interval per family."""
    rates = tables["rates"]
    table = style.largest(rates[~rates["kind"].isin(["planted", "held_out", "mixed"])])
    kinds = table.drop_duplicates("domain").sort_values(["kind", "domain"], ascending=[False, True])
    places = {domain: place for place, domain in enumerate(kinds["domain"])}
    families = style.families(table)
    colours = style.colours(families)
    figure, axes = plt.subplots(figsize=(7.2, 0.75 * len(places) + 1.4))
    for index, (family, marker) in enumerate(zip(families, style.MARKERS, strict=False)):
        part = table[table["family"] == family]
        y = part["domain"].map(places) + 0.11 * (index - (len(families) - 1) / 2)
        errors = [part["rate"] - part["rate_low"], part["rate_high"] - part["rate"]]
        label = f"{style.name(family)}, {style.millions(part['parameters'].iloc[0])}"
        axes.errorbar(
            part["rate"],
            y,
            xerr=errors,
            fmt=marker,
            color=colours[family],
            label=label,
            markersize=4,
            capsize=2,
            linewidth=1,
        )
    labels = [
        f"{style.name(domain)}\n({style.name(kind)})"
        for domain, kind in zip(kinds["domain"], kinds["kind"], strict=True)
    ]
    axes.set_yticks(range(len(places)), labels)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlim(left=-0.02 * axes.get_xlim()[1])
    axes.set_xlabel(f"memorized rows, {style.rows_note(table)} a point")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, table
