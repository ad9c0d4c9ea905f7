"""One look for all figures: colour-blind-safe, readable in print, the same bytes for the same data."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

NAMES = {
    "pythia": "Pythia",
    "openllama": "OpenLLaMA",
    "starcoder": "StarCoder",
    "olmo1": "OLMo 1",
    "olmo2": "OLMo 2",
    "olmo3": "OLMo 3",
    "free_text": "free text",
    "held_out": "held out",
}
MARKERS = "osD^vPX*dph<>8"


class Look(NamedTuple):
    """Colour and marker of a line."""

    colour: Any
    marker: str


CLASSES = {"memorized": Look("#d55e00", "o"), "half": Look("#949494", "D"), "unmemorized": Look("#0173b2", "s")}
"""Classes of rows by their memorization score."""
FEWEST = 5
"""Distinct texts without which a class is not drawn: its interval would say little."""
NO_CLASS = f"No class of natural rows has {FEWEST} distinct texts."
FOLD = 20
"""How many times the rates of one family may be those of another on the same axis."""
DOTS_PER_INCH = 200
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "recite",
    "svg.fonttype": "none",
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "figure.titlesize": 11,
    "legend.frameon": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw within this block; open figures are closed at its end."""
    matplotlib.use("agg")
    with sns.axes_style("whitegrid"), matplotlib.rc_context(SETTINGS):
        try:
            yield
        finally:
            plt.close("all")


def save(figure: Figure, path: Path, suffix: str, origin: str) -> None:
    """Write the figure as .png or .svg, with its origin as description, without date or program version."""
    unset = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
    figure.savefig(path, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=unset[suffix] | {"Description": origin})


def blank(reason: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = plt.figure(figsize=(4.6, 1.2))
    figure.text(0.5, 0.4, reason, ha="center", va="center", color="0.3")
    return figure


def apart(table: pd.DataFrame) -> bool:
    """Whether the families' highest rates are so far apart that on one axis those of some would be a flat line."""
    highest = table.groupby("family")["rate"].max()
    return len(highest) > 1 and bool(highest.max() > FOLD * highest.min())


def family_panels(families: Sequence[Any], columns: int = 3, own: bool = False) -> tuple[Figure, dict[Any, Axes]]:
    """A panel for each family, so many in a row, all with the same axes, or each with a vertical one of its own."""
    high, wide = -(-len(families) // columns), min(columns, len(families))
    size = (3.1 * wide, 2.6 * high + 0.7)
    figure, panels = plt.subplots(high, wide, figsize=size, squeeze=False, sharex=True, sharey=not own)
    for axes in panels.flat[len(families) :]:
        axes.set_visible(False)
    return figure, dict(zip(families, panels.flat, strict=False))


def name(key: str) -> str:
    """How a family, domain or kind is written in a figure."""
    return NAMES.get(key, key.replace("_", " "))


def wrapped(text: str, characters: int) -> str:
    """A text in lines of at most so many characters."""
    return "\n".join(textwrap.wrap(text, characters))


def colours(keys: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """A colour for each key, from seaborn's colour-blind palette."""
    return dict(zip(keys, sns.color_palette("colorblind", len(keys)), strict=True))


def shades(keys: Sequence[Any]) -> dict[Any, tuple[float, float, float]]:
    """A shade, light to dark, for each key of an ordered quantity."""
    return dict(zip(keys, sns.color_palette("crest", len(keys)), strict=True))


def families(table: pd.DataFrame) -> list[str]:
    """The families of a table, in their order of naming above, others after them."""
    known = list(NAMES)
    return sorted(table["family"].unique(), key=lambda f: (known.index(f) if f in known else len(known), f))


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each family's largest model."""
    return table[table["parameters"] == table.groupby("family")["parameters"].transform("max")]


def first_layer(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of the first of the disturbed layers."""
    return table[table["noise_layer"] == table["noise_layer"].min()]


def disturbed(table: pd.DataFrame) -> pd.DataFrame:
    """The natural rows of each family's largest disturbed model: undisturbed, and with noise in its first layer."""
    table = table[table["domain"] == "natural"]
    noisy = table[table["alpha"] > 0]
    kept = (table["alpha"] == 0) | (table["noise_layer"] == noisy["noise_layer"].min())
    return largest(table[kept & table["model"].isin(noisy["model"])])


def classes(table: pd.DataFrame) -> pd.DataFrame:
    """The natural rows of each class that has texts enough."""
    known = table["group"].isin(list(CLASSES))
    return table[(table["rows"] == "natural") & known & (table["distinct"] >= FEWEST)]


def groups(table: pd.DataFrame) -> list[str]:
    """The classes of a table, in their order."""
    return [group for group in CLASSES if group in set(table["group"])]


def rate_points(
    axes: Axes, x: np.ndarray, table: pd.DataFrame, colour: object, marker: str, label: str | None, line: str = "none"
) -> None:
    """Rates with their intervals as error bars."""
    low, high = table["rate"] - table["rate_low"], table["rate_high"] - table["rate"]
    axes.errorbar(
        x,
        table["rate"],
        yerr=np.clip([low, high], 0, None),
        color=colour,
        marker=marker,
        linestyle=line,
        label=label,
        markersize=4,
        capsize=2,
        linewidth=1,
    )


def rate_axis(axes: Axes, label: str = "memorized rows") -> None:
    """A percentage axis that shows the whole range of the data from zero."""
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(bottom=-0.03 * axes.get_ylim()[1])
    axes.set_ylabel(label)


def rate_axes(panels: Mapping[Any, Axes], label: str) -> None:
    """The same for panels of families, which are labelled on the left."""
    for axes in panels.values():
        place = axes.get_subplotspec()
        first = place and place.is_first_col()
        if first or not axes.get_shared_y_axes().get_siblings(axes)[1:]:
            rate_axis(axes, label if first else "")


def size_axis(axes: Axes, label: str = "parameters") -> None:
    """A logarithmic axis of model sizes, a decade at least, with few enough labels; for axes that are drawn."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    if high < 10.01 * low:  # of axes that are shared, the first call has made it a decade
        middle = math.sqrt(low * high)
        axes.set_xlim(middle / math.sqrt(10), middle * math.sqrt(10))
        axes.xaxis.set_major_locator(FixedLocator(_round_sizes(*axes.get_xlim())))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: millions(size)))
    axes.set_xlabel(label)


def _round_sizes(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two sizes."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    sizes = (digit * 10.0**power for power in powers for digit in (1, 2, 5))
    return [size for size in sizes if low <= size <= high]


def heat_map(
    axes: Axes,
    values: pd.DataFrame,
    *,
    rows: Sequence[object] = (),
    columns: Sequence[object] = (),
    every: tuple[int, int] = (1, 1),
    **colours: Any,
) -> QuadMesh:
    """Draw `values`, the first row on top; what is not finite stays empty. seaborn's draws the whole figure each time.

    Rows and columns are labelled by their names or by `rows` and `columns`, one in `every` (rows, columns) of them.
    `colours` are matplotlib's.
    """
    mesh = axes.pcolormesh(np.ma.masked_invalid(values.to_numpy(float)), **colours)
    axes.set(xlim=(0, values.shape[1]), ylim=(values.shape[0], 0), xlabel="", ylabel="")
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    labels = list(rows or values.index), list(columns or values.columns)
    for axis, names, step in zip((axes.yaxis, axes.xaxis), labels, every, strict=True):
        axis.set_ticks(np.arange(0, len(names), step) + 0.5, [str(name) for name in names[::step]])
    return mesh


def every_for(count: int, room: int) -> int:
    """One in how many of `count` labels is written where there is room for `room`."""
    return max(1, -(-count // room))


def millions(parameters: float) -> str:
    """A parameter count in words: 91 k, 2.2 M, 6.9 B."""
    for unit, size in (("B", 1e9), ("M", 1e6)):
        if parameters >= 0.95 * size:
            return f"{parameters / size:.1f} {unit}"
    return f"{parameters / 1e3:.0f} k"


def model_note(family: str, table: pd.DataFrame) -> str:
    """`Pythia, 6.9 B, n = 600`: of a table of one model."""
    return f"{name(family)}, {millions(table['parameters'].iloc[0])}, {n_note(table['n'])}"


def n_note(counts: pd.Series) -> str:
    """`n = 600`, or the range where the groups differ."""
    return f"n = {_range(counts)}"


def rows_note(table: pd.DataFrame) -> str:
    """`n = 600 rows, 485 texts`: rows of equal text are not independent; only the rows where all differ."""
    rows = f"{n_note(table['n'])} rows"
    return rows if (table["distinct"] == table["n"]).all() else f"{rows}, {_range(table['distinct'])} texts"


def _range(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low} to {high}"
