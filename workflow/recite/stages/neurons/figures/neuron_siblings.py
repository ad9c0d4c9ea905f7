"""What texts that only one of two siblings saw lose by its neurons, and what others do."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from recite.report import style
from recite.stages.neurons.shown import LOOKS, interval_line, size_axis

TITLES = {"carriers": "seen, recited, and not by the twin", "others": "not seen"}
SHOWN = ("class_attribution", "class_distance", "class_random", "class_difference", "class_difference_random")


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel for each group of texts, a line for each ranking."""
    table = tables["neuron_siblings"]
    table = table[table["distinct"] >= style.FEWEST]
    if not set(TITLES) <= set(table["group"]):
        return style.blank(f"Siblings recite fewer than {style.FEWEST} texts that their twins do not."), table
    figure, panels = plt.subplots(1, 2, figsize=(7.6, 3.9), sharex=True, sharey=True)
    for axes, (group, title) in zip(panels, TITLES.items(), strict=True):
        part = table[table["group"] == group]
        for ranking in SHOWN:
            line = part[part["ranking"] == ranking].sort_values("k")
            interval_line(axes, line, "lost", LOOKS[ranking], LOOKS[ranking].label)
        size_axis(axes, part)
        axes.set_title(f"{title}, {style.rows_note(part)}")
        axes.set_xlabel("neurons at their means")
    panels[0].set_ylabel("nats lost a token")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure, table
