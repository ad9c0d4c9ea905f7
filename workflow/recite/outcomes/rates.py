"""Rates of some rows of a model, with their intervals."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.outcomes.rows import NATURAL, Outcomes
from recite.statistics.intervals import clusters, effective_clusters, wilson
from recite.tables import Table

Line = dict[str, Any]


def rate_lines(outcomes: Outcomes, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of the rates table of one model: every domain, and all natural domains together."""
    for domain, part in outcomes.starts.items():
        yield who(outcomes) | {
            "domain": domain,
            "kind": outcomes.kinds[domain],
            **summarize(outcomes, np.arange(part.start, part.stop), options),
        }
    natural = outcomes.rows_of(NATURAL)
    if len(natural):
        yield who(outcomes) | {"domain": NATURAL, "kind": "mixed", **summarize(outcomes, natural, options)}


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


def write_lines(table: Table, path: Path, lines: Sequence[Line], options: Mapping[str, Any]) -> None:
    columns = {name: [line[name] for line in lines] for name in table.names}
    table.write(path, columns, {"options": dict(options)})
