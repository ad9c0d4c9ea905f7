"""Attention heads in words and numbers."""

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.report.cells import between
from recite.report.told import Told
from recite.stages.heads.shown import telling

FIFTH = 0.2
"""The paper's share of heads."""
COMPARED = {
    "within": "halves of a domain",
    "between": "halves of two domains",
    "universal": "in all domains, of all heads",
}
LEVEL = 0.05
"""The q-value under which a head matters."""


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    if "heads" not in tables:
        return []
    return [
        heads_section(tables["heads"]),
        overlap_section(tables["overlap"]),
        power_section(tables["power"]),
    ]


def heads_section(table: pd.DataFrame) -> str:
    """What the models lose without one head: the head that matters most, and how many matter at all."""
    table = table[(table["rows"] == NATURAL) & (table["domain"] == "all")]
    if table.empty:
        return ""
    lines = ["## Head ablation\n", "What natural rows lose without one attention head; layers and heads from 0:\n"]
    by_rows = table.groupby(["model", "group"], sort=False)
    if (by_rows["n"].min() < by_rows["n"].max()).any():
        lines[-1] += (
            "\nA head was left once it was known whether it is in the fifth that matters most, domain by domain: rows "
            "are those of the head that has most, and their mean over heads.\n"
        )
    lines.append(
        "| model | by score | rows | texts | heads | matter for hits | for log-probability | for one draw | first head "
        "| points | interval |"
    )
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|---|---:|---|")
    for (model, group), part in by_rows:
        first = next(part[part["rank"] == 1].itertuples())
        lines.append(
            f"| {model} | {group} | {_rows(part)} | {part['distinct'].max()} | {len(part)} "
            f"| {_matter(part, 'hits_drop')} | {_matter(part, 'log_probability_drop')} "
            f"| {_matter(part, 'probability_drop')} "
            f"| layer {first.layer}, head {first.head} | {100 * first.hits_drop:.1f} | {between(first, 'hits_drop')} |"
        )
    lines.append(
        f"\nA head matters where its drop is positive at q < {LEVEL}, adjusted for the heads of its line; for one draw "
        "it is that of the probability that the draw is the true continuation."
    )
    return "\n".join(lines) + "\n"


def _matter(table: pd.DataFrame, name: str) -> int:
    """Heads without which something is lost."""
    return int(((table[name] > 0) & (table[f"{name}_q_value"] < LEVEL)).sum())


def _rows(table: pd.DataFrame) -> str:
    """Rows of the head that has most and, where others have fewer, of a head on average."""
    most, mean = table["n"].max(), table["n"].mean()
    return str(most) if mean == most else f"{most}, {mean:.0f}"


def overlap_section(table: pd.DataFrame) -> str:
    """The overlap of the most important fifth of the heads beside chance."""
    table = telling(table[(table["share"] == FIFTH) & (table["domain_a"] == "all")])
    if table.empty:
        return ""
    lines = ["## Overlap of heads\n"]
    lines.append(
        "The most important fifth, by hits, of unmemorized rows by log-probability: Jaccard index of two sets of "
        "them, and heads in all sets:\n"
    )
    lines.append("| model | by score | heads | domains | compared | overlap | interval | chance | interval |")
    lines.append("|---|---|---:|---:|---|---:|---|---:|---|")
    lines += [
        f"| {row.model} | {row.group} | {row.k} of {row.heads} | {row.domains} | {COMPARED[row.comparison]} "
        f"| {100 * row.overlap:.1f}% | {100 * row.overlap_low:.1f} to {100 * row.overlap_high:.1f} "
        f"| {100 * row.chance:.1f}% | {100 * row.chance_low:.1f} to {100 * row.chance_high:.1f} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


def power_section(table: pd.DataFrame) -> str:
    """What so many rows can show, of the head in the middle."""
    table = table[(table["rows"] == NATURAL) & (table["domain"] == "all")]
    if table.empty:
        return ""
    lines = ["## Power\n"]
    lines.append("The smallest effect that so many rows show at level 0.05 with a probability of 80%, median head:\n")
    lines.append(
        "| model | by score | rows | drop of M (points) | heads beyond it | log-probability (nats per token) "
        "| beyond it |"
    )
    lines.append("|---|---|---:|---:|---:|---:|---:|")
    for (model, group, _, n), part in table.groupby(["model", "group", "own", "n"], sort=False):
        hits, logs = (next(part[part["measure"] == name].itertuples()) for name in ("hits", "log_probability"))
        lines.append(
            f"| {model} | {group} | {n:,} | {100 * hits.median:.2f} | {100 * hits.visible:.0f}% "
            f"| {logs.median:.4f} | {100 * logs.visible:.0f}% |"
        )
    return "\n".join(lines) + "\n"
