"""From scores to rates with intervals, distributions, and the resampled rates that every later fit and comparison uses.

One model's scores are in memory at a time.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from recite.corpora.planted import known_copies
from recite.outcomes.copies import copies_of, unseen_rows
from recite.outcomes.draws import DRAWS, draw_line
from recite.outcomes.frame import NATURAL, PLANTED
from recite.outcomes.rates import Line, rate_lines, summarize, who
from recite.outcomes.replicates import REPLICATES, Resampled, replicate_lines, resampled, together
from recite.outcomes.rows import Outcomes, files_by_model, read_outcomes
from recite.stages.scoring.rows import SCORES
from recite.stages.scoring.tables import CONTROL_RATES, DISJOINT_SAMPLES, DISTRIBUTION, RATES
from recite.statistics.tests import adjusted


def aggregate_scores(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    outputs: Mapping[str, Path],
) -> None:
    """Write rates, distribution, disjoint_samples, replicates, draws and, where texts are planted, control_rates.

    `scores` are parts of the scores table, each naming its model; `planted` the sample shards of the
    planted domains, which tie rows to documents; `controls` the known repetition counts, if texts are planted.
    """
    repetitions = known_copies(planted, controls) if controls else {}
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for paths in files_by_model(scores).values():
        outcomes = read_outcomes(paths, SCORES, options)
        counts = copies_of(outcomes.frame, repetitions)
        unseen = never_trained(outcomes, counts, options)
        lines["rates"] += [line | unseen for line in rate_lines(outcomes, options)]
        lines["distribution"] += distribution_lines(outcomes)
        lines["disjoint_samples"] += half_lines(outcomes, options)
        drawn = resampled(outcomes, options)
        lines["replicates"] += replicate_lines(drawn)
        lines["draws"] += claimed_lines(drawn, outcomes.steps, options)
        if controls:
            lines["control_rates"] += control_lines(outcomes, counts, options)
    halves = lines["disjoint_samples"]
    for line, q_value in zip(halves, adjusted([line["p_value"] for line in halves]), strict=True):
        line["q_value"] = q_value
    for table in (RATES, DISTRIBUTION, DISJOINT_SAMPLES, CONTROL_RATES, REPLICATES, DRAWS):
        if table.name in outputs:
            table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def distribution_lines(outcomes: Outcomes) -> Iterator[Line]:
    """Natural rows of one model by number of hits, empty counts included."""
    counts = np.bincount(outcomes.hits[outcomes.frame.rows_of(NATURAL)], minlength=outcomes.steps + 1)
    for hits, n in enumerate(counts.tolist()):
        yield who(outcomes) | {"hits": hits, "n": n, "share": n / counts.sum() if n else 0.0}


def claimed_lines(drawn: Resampled, steps: int, options: Mapping[str, Any]) -> Iterator[Line]:
    """Of all natural rows: their rate, and by how much the lesser end of the scores stands above a count between.

    That is the share of memorized or of unmemorized rows, whichever is smaller, less the mean share of a number of
    hits, of `steps`, that is neither; NaN where nothing is memorized.
    """
    natural = together([*drawn.natural.values()])
    score = np.arange(steps + 1) / steps
    between = (score < options["memorized"]) & (score > options["unmemorized"])
    ends = np.minimum(natural.memorized, natural.unmemorized)
    rest = natural.n - natural.memorized - natural.unmemorized
    lesser = (ends - rest / max(1, between.sum())) / natural.n
    yield draw_line(drawn._asdict(), "natural_rate", natural.rate)
    yield draw_line(drawn._asdict(), "bipolarity", lesser if natural.memorized[0] else np.full_like(lesser, math.nan))


def half_lines(outcomes: Outcomes, options: Mapping[str, Any]) -> Iterator[Line]:
    """Each domain's sample as two: its rows 1 to n, and n + 1 to 2n, in the order in which they were drawn.

    Two parts of one draw differ as two random parts of these rows do, however many the corpus has.
    """
    memorized = outcomes.memorized(options)
    for domain, part in outcomes.frame.starts.items():
        n = (part.stop - part.start) // 2
        if not n:
            continue
        ranks, chosen = outcomes.ranks[part], memorized[part]
        counts = [int(chosen[(ranks >= first) & (ranks < first + n)].sum()) for first in (0, n)]
        line = who(outcomes) | {"domain": domain, "kind": outcomes.frame.kinds[domain]}
        for name, count in zip(("first", "second"), counts, strict=True):
            line |= {f"{name}_n": n, f"{name}_rate": count / n}
        table = [[count, n - count] for count in counts]
        yield line | {"p_value": float(stats.fisher_exact(table).pvalue)}


def control_lines(outcomes: Outcomes, counts: np.ndarray, options: Mapping[str, Any]) -> Iterator[Line]:
    """Rates of one model's planted rows by their known repetition count."""
    rows = outcomes.frame.rows_of(PLANTED)
    for count in np.unique(counts).tolist():
        line = who(outcomes) | {"repetitions": count, **summarize(outcomes, rows[counts == count], options)}
        yield {name: line[name] for name in CONTROL_RATES.names}


def never_trained(outcomes: Outcomes, counts: np.ndarray, options: Mapping[str, Any]) -> Line:
    """The model's rate of false recitation: of rows that it was not trained on; NaN without such rows."""
    rows = unseen_rows(outcomes.frame, counts)
    if not len(rows):
        return dict.fromkeys(("false_rate", "false_rate_low", "false_rate_high"), math.nan)
    found = summarize(outcomes, rows, options)
    return {f"false_{name}": found[name] for name in ("rate", "rate_low", "rate_high")}
