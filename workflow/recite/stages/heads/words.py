"""Attention heads in words and numbers."""

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.report.cells import between
from recite.report.told import Told
from recite.stages.heads.shown import telling

FIFTH = 0.2
"""The paper's share of heads."""
SCREENED = (0.2, 0.3, 0.5)
"""Shares of heads that an estimate puts forward."""
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
    screening = [screening_section(tables["screening"])] if "screening" in tables else []
    return [
        heads_section(tables["heads"]),
        *screening,
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
    if (by_rows.size() < by_rows["heads"].first()).any():
        lines[-1] += "\nOnly the heads that a first-order estimate put forward were ablated.\n"
    lines.append(
        "| model | by score | rows | texts | heads | matter for hits | for log-probability | for one draw | first head "
        "| points | interval |"
    )
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|---|---:|---|")
    for (model, group), part in by_rows:
        first = next(part[part["rank"] == 1].itertuples())
        lines.append(
            f"| {model} | {group} | {first.n} | {first.distinct} | {_heads(len(part), first.heads)} "
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


def _heads(ablated: int, heads: int) -> str:
    return str(heads) if ablated == heads else f"{ablated} of {heads}"


def screening_section(table: pd.DataFrame) -> str:
    """How much of the most important fifth an estimate would have put forward, and at what cost."""
    table = table[(table["rows"] == NATURAL) & (table["domain"] == "all")]
    if table.empty:
        return ""
    shares = " | ".join(f"{100 * share:.0f}%" for share in SCREENED)
    lines = ["## Screening of heads\n"]
    lines.append(
        "Of the most important fifth by exact ablation, found among so many heads by a first-order estimate; cost of "
        f"screening by {100 * SCREENED[-1]:.0f}% over that of ablating all:\n"
    )
    lines.append(f"| model | by score | heads | measure | {shares} | interval | rank correlation | cost |")
    lines.append("|---|---|---:|---|" + "---:|" * len(SCREENED) + "---|---:|---:|")
    for (model, group, measure), part in table.groupby(["model", "group", "measure"], sort=False):
        by_share = {line.share: line for line in part.itertuples()}
        found = " | ".join(f"{100 * by_share[share].recall:.0f}%" for share in SCREENED)
        last = by_share[SCREENED[-1]]
        lines.append(
            f"| {model} | {group} | {last.heads} | {measure} | {found} "
            f"| {100 * last.recall_low:.0f} to {100 * last.recall_high:.0f} "
            f"| {last.rank_correlation:.2f} | {last.cost:.2f} |"
        )
    return "\n".join(lines) + "\n"


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
