"""Which share of what single sublayers are worth the MLPs have, against model size."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.report import style

MEASURES = {
    "hits": ("by hits", style.Look("#d55e00", "o")),
    "log_probability": ("by log-probability", style.Look("#0173b2", "s")),
}


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, a line for each measure, memorized natural rows."""
    table = style.classes(tables["carried"])
    table = table[(table["domain"] == "all") & (table["group"] == "memorized")]
    families = style.families(table)
    if not families:
        return style.blank(style.NO_CLASS), table
    figure, panels = style.family_panels(families)
    for family, axes in panels.items():
        of_family = table[table["family"] == family].sort_values("parameters")
        for measure, (label, look) in MEASURES.items():
            line = of_family[(of_family["measure"] == measure) & of_family["mlp_share"].notna()]
            low, high = line["mlp_share"] - line["mlp_share_low"], line["mlp_share_high"] - line["mlp_share"]
            axes.errorbar(
                line["parameters"],
                line["mlp_share"],
                yerr=np.clip([low, high], 0, None),
                color=look.colour,
                marker=look.marker,
                label=label,
                markersize=4,
                capsize=2,
                linewidth=1,
            )
        axes.axhline(0.5, color="0.4", linewidth=0.8, linestyle=":")
        style.size_axis(axes)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_title(f"{style.name(family)}, {style.rows_note(of_family)}", fontsize=8)
        place = axes.get_subplotspec()
        if place and place.is_first_col():
            axes.set_ylabel("share of MLPs")
    figure.legend(*next(iter(panels.values())).get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure, table
