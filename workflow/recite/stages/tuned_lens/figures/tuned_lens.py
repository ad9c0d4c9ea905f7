"""What each layer says of the true token by both lenses, by class of rows."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recite.report import style

LENSES = {"logit": "--", "tuned": "-"}
SHOWN = {"logit": "plain lens", "tuned": "tuned lens"}
KINDS = ("natural", "planted")
HALF = 0.5


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per family, natural rows above planted ones, a line per class and lens."""
    table = style.largest(tables["tuned_lens"])
    table = table[table["group"].isin(["memorized", "unmemorized"]) & (table["distinct"] >= style.FEWEST)]
    if table.empty:
        return style.blank(f"No class of rows has {style.FEWEST} distinct texts."), table
    families, kinds = style.families(table), [kind for kind in KINDS if kind in set(table["rows"])]
    figure, panels = style.family_panels([(kind, family) for kind in kinds for family in families])
    for (kind, family), axes in panels.items():
        part = table[(table["rows"] == kind) & (table["family"] == family)]
        axes.axhline(HALF, color="0.3", linewidth=0.8, linestyle=":")
        axes.set(title=_title(family, kind, part), xlabel="relative depth, (layer + 1) / layers")
        for (group, lens), curve in part.groupby(["group", "lens"]):
            _curve(axes, curve.sort_values("depth"), str(group), str(lens))
    style.rate_axes(panels, "probability of\nthe true token")
    axes.set_ylim(-0.03, 1.03)
    named = [axes.get_legend_handles_labels() for axes in panels.values()]
    entries = {label: handle for handles, labels in named for handle, label in zip(handles, labels, strict=True)}
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=4)
    kept = ["lens", "model", "family", "parameters", "rows", "group", "layer", "depth", "n", "distinct"]
    return figure, table[kept + [f"probability{end}" for end in ("", "_low", "_high")]]


def _title(family: str, kind: str, part: pd.DataFrame) -> str:
    if part.empty:
        return f"{style.name(family)}, {kind} rows: too few texts"
    texts = part.groupby("group")["distinct"].first()
    counted = " and ".join(str(count) for count in texts)
    return f"{style.name(family)}, {style.millions(part['parameters'].iloc[0])}\n{kind} rows, {counted} texts"


def _curve(axes: Axes, curve: pd.DataFrame, group: str, lens: str) -> None:
    look = style.CLASSES[group]
    value = curve["probability"]
    axes.errorbar(
        curve["depth"],
        value,
        yerr=np.clip([value - curve["probability_low"], curve["probability_high"] - value], 0, None),
        color=look.colour,
        marker=look.marker,
        markerfacecolor=look.colour if lens == "tuned" else "white",
        linestyle=LENSES[lens],
        label=f"{group}, {SHOWN[lens]}",
        markersize=3.5,
        capsize=1.5,
        linewidth=1,
        elinewidth=0.6,
    )
