"""Attention and MLPs in words and numbers."""

import math
from typing import Any

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.report import cells
from recite.report.told import Told

LEVEL = 0.05
"""The q-value under which a sublayer matters."""
MEASURES = {"hits": "hits", "log_probability": "log-probability"}


def sections(told: Told) -> list[str]:
    """The section, where the study has the tables."""
    tables = told.tables
    if "sublayers" not in tables:
        return []
    return [carried_section(tables["carried"], tables["sublayers"], tables.get("heads"))]


def carried_section(carried: pd.DataFrame, sublayers: pd.DataFrame, heads: pd.DataFrame | None = None) -> str:
    """Where recall is carried: the MLPs' share by family and size, the depth of both, and the sublayers that matter.

    `heads` is the table of that name, if there is one: what single heads are worth stands beside whole attentions.
    """
    carried, sublayers = (
        table[(table["rows"] == NATURAL) & (table["domain"] == "all")] for table in (carried, sublayers)
    )
    if carried.empty:
        return ""
    by_rows = dict(tuple(sublayers.groupby(["model", "group"])))
    lines = [
        "## Attention or MLP\n",
        "What natural rows lose without the attention or the MLP of one layer, summed over layers; of it the share "
        "that MLPs have, and the mean depth of both, each layer by what is lost without it:\n",
        "| model | by score | texts | measure | attention | its heads | MLP | share of MLPs | depth of attention "
        "| depth of MLPs | sublayers that matter | first |",
        "|---|---|---:|---|---:|---:|---:|---|---|---|---:|---|",
    ]
    for row in carried.sort_values(["family", "parameters"], kind="stable").itertuples():
        if row.group == "unmemorized" and row.measure == "hits":
            continue
        part = by_rows[row.model, row.group]
        depths = " | ".join(_within(row, f"{name}_depth") for name in ("attention", "mlp"))
        lines.append(
            f"| {row.model} | {row.group} | {row.distinct} | {MEASURES[row.measure]} "
            f"| {cells.decimals(row.attention_sum)} | {cells.decimals(_of_heads(heads, row))} "
            f"| {cells.decimals(row.mlp_sum)} "
            f"| {_within(row, 'mlp_share')} | {depths} | {_matter(part, row.measure)} |"
        )
    lines.append(
        f"\nHits as a share of the continuation's, log-probability in nats a token. A sublayer matters where its drop "
        f"is positive at q < {LEVEL}, adjusted for those of its line; single drops do not add up to what several "
        "sublayers, or all heads of an attention, are worth together. Heads are summed one by one, with the rows and "
        "the replacement of the head ablation."
    )
    return "\n".join(lines) + "\n"


def _within(row: object, name: str) -> str:
    return cells.within(*(getattr(row, f"{name}{end}") for end in ("", "_low", "_high")))


def _of_heads(heads: pd.DataFrame | None, row: Any) -> float:
    """The sum over all heads of the mean drops of the same class of natural rows; NaN where not all were ablated."""
    if heads is None:
        return math.nan
    same = (heads["model"] == row.model) & (heads["group"] == row.group)
    part = heads[same & (heads["rows"] == NATURAL) & (heads["domain"] == "all")]
    whole = len(part) > 0 and len(part) == part["heads"].iloc[0]
    return float(part[f"{row.measure}_drop"].sum()) if whole else math.nan


def _matter(part: pd.DataFrame, measure: str) -> str:
    """How many sublayers matter, of how many, and which the most."""
    name = f"{measure}_drop"
    count = int(((part[name] > 0) & (part[f"{name}_q_value"] < LEVEL)).sum())
    first = part.loc[part[name].idxmax()]
    called = "MLP" if first["sublayer"] == "mlp" else first["sublayer"]
    return f"{count} of {len(part)} | {called} of layer {first['layer']}"
