"""Rates of some rows of a model, with their intervals."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from recite.outcomes.frame import Frame
from recite.outcomes.rows import Outcomes
from recite.statistics.intervals import Stratum, effective_rows, wilson

Line = dict[str, Any]
UNKNOWN = 2**40
"""Further units where it is not known how many there are: their number is then as random as can be."""


def rate_lines(outcomes: Outcomes, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of the rates table of one model: every domain, and all natural domains together."""
    for domain, kind, rows in outcomes.frame.each_domain():
        yield who(outcomes) | {"domain": domain, "kind": kind, **summarize(outcomes, rows, options)}


def summarize(outcomes: Outcomes, rows: np.ndarray, options: Mapping[str, Any]) -> Line:
    """Counts of some rows, their memorization rate with its Wilson interval, and their mean score."""
    score = outcomes.hits[rows] / outcomes.steps
    memorized, unmemorized = score >= options["memorized"], score <= options["unmemorized"]
    between = ~memorized & ~unmemorized
    found = share_of(outcomes.frame, rows, memorized, options, "rate")
    found |= share_of(outcomes.frame, rows, between, options, "between")
    return {
        "n": len(rows),
        "distinct": len(np.unique(outcomes.frame.texts[rows])),
        "memorized": int(memorized.sum()),
        "effective_n": found["rate_n"],
        **{name: found[name] for name in ("rate", "rate_low", "rate_high")},
        **{name: found[name] for name in ("between", "between_low", "between_high")},
        "mean_score": int(outcomes.hits[rows].sum(dtype=np.int64)) / (len(rows) * outcomes.steps),
        "half": int((score == options["half"]).sum()),
        "unmemorized": int(unmemorized.sum()),
        "at_risk": int(outcomes.at_risk[rows].sum()) / len(rows),
        "memorized_at_risk": _share(outcomes.at_risk[rows][memorized]),
    }


def share_of(frame: Frame, rows: np.ndarray, chosen: np.ndarray, options: Mapping[str, Any], name: str) -> Line:
    """Share of some rows, ascending indices, that are `chosen` (rows,), with its Wilson interval: columns of a line.

    Under <name>_n: how many independent rows of an endless population would say as much.
    """
    rate = int(chosen.sum()) / len(rows)
    n = effective_rows(strata(frame, rows, chosen))
    low, high = wilson(rate, n, options["confidence"])
    return {name: rate, f"{name}_low": low, f"{name}_high": high, f"{name}_n": n}


def strata(frame: Frame, rows: np.ndarray, chosen: np.ndarray) -> list[Stratum]:
    """Some rows counted by domain and by what was sampled there."""
    found = []
    for domain, own in frame.domains_of(rows):
        _, places, sizes = np.unique(frame.units[rows[own]], return_inverse=True, return_counts=True)
        sums = np.bincount(places, weights=chosen[own], minlength=len(sizes))
        others = max(0, int(frame.bags[domain].sum()) - len(sizes)) if domain in frame.bags else UNKNOWN
        found.append(Stratum(sizes, sums, frame.fractions[domain], others))
    return found


def _share(chosen: np.ndarray) -> float:
    """Share of rows that are true; NaN without rows."""
    return int(chosen.sum()) / len(chosen) if len(chosen) else math.nan


def who(outcomes: Outcomes) -> Line:
    return {"model": outcomes.model, "family": outcomes.family, "parameters": outcomes.parameters}
