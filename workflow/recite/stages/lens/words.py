"""Layer decoding in words and numbers."""

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.outcomes.means import MEMORIZED, UNMEMORIZED
from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    return [_lens(tables["lens"], tables["lens_profiles"])] if "lens" in tables else []


def _lens(table: pd.DataFrame, pairs: pd.DataFrame) -> str:
    table = table[(table["rows"] == NATURAL) & table["group"].isin([MEMORIZED, UNMEMORIZED])]
    lines = [
        "## Layer decoding\n",
        f"What the layers say of the true continuation, natural rows; layers from 1{_some(table)}:\n",
    ]
    lines.append("| model | class | rows | texts | 50% after | last layer | interval | entropy | half depth agrees |")
    lines.append("|---|---|---:|---:|---:|---:|---|---:|---:|")
    for (model, group), part in table.groupby(["model", "group"]):
        part = part.sort_values("layer")
        last = next(part.iloc[[-1]].itertuples())
        middle = next(part[part["layer"] >= last.layer // 2].itertuples())
        passed = part.loc[part["probability"] > 0.5, "layer"]
        layer = f"{passed.iloc[0] + 1} of {last.layer + 1}" if len(passed) else "–"
        lines.append(
            f"| {model} | {group} | {last.n} | {last.distinct} | {layer} | {cells.share(last.probability)} "
            f"| {cells.between(last, 'probability')} | {last.entropy:.2f} | {cells.share(middle.agrees)} |"
        )
    return "\n".join(lines) + "\n" + _alike(pairs)


def _some(table: pd.DataFrame) -> str:
    """Says what a layer's number means where not all layers were decoded."""
    layers = table.groupby("model")["layer"].agg(["nunique", "max"])
    if (layers["nunique"] == layers["max"] + 1).all():
        return ""
    return ", not all of them decoded, so that one after which 50% is passed is the first decoded one"


def _alike(pairs: pd.DataFrame) -> str:
    pairs = pairs[(pairs["group"] == MEMORIZED) & pairs["similarity"].notna()]
    apart = pairs[pairs["family_a"] != pairs["family_b"]]
    if apart.empty:
        return ""
    return (
        f"\nMean correlation over depth of the true token's probability in memorized rows, {len(apart)} pairs of two "
        f"families: {apart['similarity'].mean():.3f}; lowest {apart['similarity'].min():.3f}.\n"
    )
