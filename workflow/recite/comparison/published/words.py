"""The paper's published numbers, set beside this study's wherever the same model was run; no verdict uses them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.outcomes.means import ALL
from recite.report.told import Told


class Quantity(NamedTuple):
    """Where a published quantity stands in this study: a column of the lines of a table that have these values."""

    words: str
    table: str
    column: str
    lines: dict[str, Any]


def _overlap(comparison: str) -> dict[str, Any]:
    return {"measure": "hits", "comparison": comparison, "domain_a": "all", "share": 0.2}


QUANTITIES = {
    "rate": Quantity("natural rows memorized", "noise_rates", "rate", {"domain": NATURAL}),
    "structural_share": Quantity("structural share of memorized rows, as sampled", "kinds", "raw_share", {}),
    "context_needed": Quantity("context needed, share", "compressibility", "mean_ratio", {"domain": NATURAL}),
    "head_overlap_between": Quantity("top fifth of heads, two domains", "overlap", "overlap", _overlap("between")),
    "head_overlap_within": Quantity("top fifth of heads, halves of a domain", "overlap", "overlap", _overlap("within")),
    "universal_heads": Quantity("heads in the top fifth of all domains", "overlap", "overlap", _overlap("universal")),
}
"""Quantity of config/published.yaml -> our number; each is a share."""


def sections(told: Told) -> list[str]:
    """The paper's numbers beside ours."""
    return [published_section(told.published, told.tables)]


def published_section(published: Sequence[Mapping[str, Any]], tables: Mapping[str, pd.DataFrame]) -> str:
    """The summary's section: a line for each published number that this study has too; "" where it has none."""
    found = list(_lines(published, tables))
    if not found:
        return ""
    lines = ["## Published numbers beside ours\n", "| model | quantity | published | ours | interval | source |"]
    return "\n".join([*lines, "|---|---|---:|---:|---|---|", *found]) + "\n"


def _lines(published: Sequence[Mapping[str, Any]], tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    for entry in published:
        quantity = QUANTITIES[entry["quantity"]]
        if quantity.table not in tables:
            continue
        table = tables[quantity.table]
        wanted = quantity.lines | ({"alpha": entry["alpha"]} if "alpha" in entry else {})
        for name, value in wanted.items():
            table = table[table[name] == value]
        words = quantity.words + (f", noise α = {entry['alpha']:g}" if "alpha" in entry else "")
        for model in entry["models"]:
            for line in table[(table["model"] == model) & table[quantity.column].notna()].itertuples():
                ours, low, high = (100 * getattr(line, f"{quantity.column}{end}") for end in ("", "_low", "_high"))
                value = f"{'at most ' if entry['at_most'] else ''}{100 * entry['published']:.3g}%"
                about = words if getattr(line, "group", ALL) == ALL else f"{words}, {line.group} rows"
                yield f"| {model} | {about} | {value} | {ours:.3g}% | {low:.3g} to {high:.3g} | {entry['source']} |"
