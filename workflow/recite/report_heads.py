"""The summary's sections on attention heads."""

import pandas as pd

from recite.outcomes import NATURAL

FIFTH = 0.2
"""The paper's share of heads."""
COMPARED = {"within": "halves of a domain", "between": "two domains", "universal": "in all domains, of all heads"}


def heads_section(table: pd.DataFrame) -> str:
    """What the models lose without one head: the head that matters most, and how many matter at all."""
    table = table[(table["rows"] == NATURAL) & (table["domain"] == "all")]
    if table.empty:
        return ""
    lines = ["## Head ablation\n", "What natural rows lose without one attention head; layers and heads from 0:\n"]
    lines.append(
        "| model | rows | texts | heads | matter for hits | for log-probability | first head | points | interval |"
    )
    lines.append("|---|---:|---:|---:|---:|---:|---|---:|---|")
    for model, part in table.groupby("model"):
        first = next(part[part["rank"] == 1].itertuples())
        matter = [int((part[f"{name}_low"] > 0).sum()) for name in ("hits_drop", "log_probability_drop")]
        lines.append(
            f"| {model} | {first.n} | {first.distinct} | {len(part)} | {matter[0]} | {matter[1]} "
            f"| layer {first.layer}, head {first.head} | {100 * first.hits_drop:.1f} "
            f"| {100 * first.hits_drop_low:.1f} to {100 * first.hits_drop_high:.1f} |"
        )
    lines.append("\nA head matters where the whole interval of its drop lies above zero.")
    return "\n".join(lines) + "\n"


def overlap_section(table: pd.DataFrame) -> str:
    """The overlap of the most important fifth of the heads beside chance."""
    table = table[(table["measure"] == "hits") & (table["share"] == FIFTH) & (table["domain_a"] == "all")]
    if table.empty:
        return ""
    lines = ["## Overlap of heads\n"]
    lines.append("The most important fifth, by hits: Jaccard index of two sets of them, and heads in all sets:\n")
    lines.append("| model | heads | domains | compared | overlap | interval | chance | interval |")
    lines.append("|---|---:|---:|---|---:|---|---:|---|")
    lines += [
        f"| {row.model} | {row.k} of {row.heads} | {row.domains} | {COMPARED[row.comparison]} "
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
        "| model | rows | drop of M (points) | heads beyond it | log-probability (nats per token) | beyond it |"
    )
    lines.append("|---|---:|---:|---:|---:|---:|")
    for (model, _, n), part in table.groupby(["model", "own", "n"], sort=False):
        hits, logs = (next(part[part["measure"] == name].itertuples()) for name in ("hits", "log_probability"))
        lines.append(
            f"| {model} | {n:,} | {100 * hits.median:.2f} | {100 * hits.visible:.0f}% "
            f"| {logs.median:.4f} | {100 * logs.visible:.0f}% |"
        )
    return "\n".join(lines) + "\n"
