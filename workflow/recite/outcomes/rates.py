"""Rates of some rows of a model, with their intervals."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from recite.outcomes.rows import Outcomes, each_domain
from recite.statistics.intervals import clusters, effective_clusters, wilson

Line = dict[str, Any]


def rate_lines(outcomes: Outcomes, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of the rates table of one model: every domain, and all natural domains together."""
    for domain, kind, rows in each_domain(outcomes.kinds, outcomes.starts):
        yield who(outcomes) | {"domain": domain, "kind": kind, **summarize(outcomes, rows, options)}


def summarize(outcomes: Outcomes, rows: np.ndarray, options: Mapping[str, Any]) -> Line:
    """Counts of some rows, their memorization rate with its Wilson interval, and their mean score."""
    score = outcomes.hits[rows] / outcomes.steps
    memorized, unmemorized = score >= options["memorized"], score <= options["unmemorized"]
    by_text = clusters(memorized, outcomes.texts[rows])
    effective, rate = effective_clusters(by_text), int(memorized.sum()) / len(rows)
    low, high = wilson(rate, effective, options["confidence"])
    between = ~memorized & ~unmemorized
    share = int(between.sum()) / len(rows)
    apart = effective_clusters(clusters(between, outcomes.texts[rows]))
    between_low, between_high = wilson(share, apart, options["confidence"])
    return {
        "n": len(rows),
        "distinct": len(by_text.sizes),
        "effective_n": effective,
        "memorized": int(memorized.sum()),
        "rate": rate,
        "rate_low": low,
        "rate_high": high,
        "mean_score": int(outcomes.hits[rows].sum(dtype=np.int64)) / (len(rows) * outcomes.steps),
        "half": int((score == options["half"]).sum()),
        "unmemorized": int(unmemorized.sum()),
        "between": share,
        "between_low": between_low,
        "between_high": between_high,
        "at_risk": int(outcomes.at_risk[rows].sum()) / len(rows),
        "memorized_at_risk": _share(outcomes.at_risk[rows][memorized]),
    }


def _share(chosen: np.ndarray) -> float:
    """Share of rows that are true; NaN without rows."""
    return int(chosen.sum()) / len(chosen) if len(chosen) else math.nan


def who(outcomes: Outcomes) -> Line:
    return {"model": outcomes.model, "family": outcomes.family, "parameters": outcomes.parameters}
