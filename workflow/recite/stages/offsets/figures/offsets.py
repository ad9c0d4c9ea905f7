"""Rates of recited windows, by their place in the document and by the length of their contexts."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from recite.report import style

COLUMNS = 3
"""Panels in a row."""
LINES = {"mixed": "-", "planted": ":"}
"""How natural and planted rows are drawn."""


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, of its largest model, and a line for every context length; planted rows dotted."""
    table = style.largest(tables["offsets"])
    table = table[table["kind"].isin(list(LINES)) & (table["n"] > 0)]
    families = style.families(table)
    if not families:
        return style.blank("No document has a window."), table
    places, contexts = (sorted(table[name].unique()) for name in ("place", "context"))
    shades = style.shades(contexts)
    high, wide = -(-len(families) // COLUMNS), min(COLUMNS, len(families))
    size = (3.1 * wide + 0.6, 2.7 * high + 0.9)
    figure, panels = plt.subplots(high, wide, figsize=size, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(families) :]:
        axes.set_visible(False)
    for axes, family in zip(panels.flat, families, strict=False):
        part = table[table["family"] == family]
        for (kind, context), line in part.groupby(["kind", "context"]):
            line = line.sort_values("place")
            x = line["place"].map(places.index).to_numpy(float) + 0.06 * (
                contexts.index(context) - (len(contexts) - 1) / 2
            )
            label = f"{context} tokens of context" + (", planted" if kind == "planted" else "")
            marker = style.MARKERS[contexts.index(context) % len(style.MARKERS)]
            style.rate_points(axes, x, line, shades[context], marker, label, LINES[kind])
        axes.set_xticks(range(len(places)), [str(place) for place in places])
        axes.set_xlabel("tokens before the window")
        axes.set_title(f"{style.name(family)}, {style.millions(part['parameters'].iloc[0])}\n{style.n_note(part['n'])}")
    for axes in panels[:, 0]:
        style.rate_axis(axes, "recited windows")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure, table
