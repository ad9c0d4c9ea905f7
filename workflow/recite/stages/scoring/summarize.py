"""From scores to rates with intervals, distributions, and the resampled rates that every later fit and comparison uses.

All families of one corpus are in memory at a time, some 30 bytes for each of their scores.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.corpora.planted import known_copies
from recite.errors import ReciteError
from recite.outcomes.rates import Line, rate_lines, summarize, who
from recite.outcomes.replicates import REPLICATES, replicate_lines
from recite.outcomes.rows import NATURAL, PLANTED, Outcomes, Run, files_by_model, read_outcomes
from recite.stages.scoring.rows import SCORES
from recite.stages.scoring.tables import CONTROL_RATES, DISJOINT_SAMPLES, DISTRIBUTION, RATES
from recite.statistics.intervals import clusters
from recite.statistics.tests import adjusted, equal_rates_p_value


def aggregate_scores(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    outputs: Mapping[str, Path],
) -> None:
    """Write rates, distribution, disjoint_samples, replicates and, where texts are planted, control_rates.

    `scores` are parts of the scores table, each naming its model; `planted` the sample shards of the
    planted domains, which tie rows to documents; `controls` the known repetition counts, if texts are planted.
    """
    repetitions = known_copies(planted, controls) if controls else {}
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for corpus, files in _by_corpus(files_by_model(scores), options):
        read = [read_outcomes(paths, SCORES, options) for paths in files]
        for outcomes in read:
            lines["rates"] += rate_lines(outcomes, options)
            lines["distribution"] += distribution_lines(outcomes)
            lines["disjoint_samples"] += half_lines(outcomes, options)
            if controls:
                lines["control_rates"] += control_lines(outcomes, repetitions, options)
        lines["replicates"] += replicate_lines(corpus, read, options)
    halves = lines["disjoint_samples"]
    for line, q_value in zip(halves, adjusted([line["p_value"] for line in halves]), strict=True):
        line["q_value"] = q_value
    for table in (RATES, DISTRIBUTION, DISJOINT_SAMPLES, CONTROL_RATES, REPLICATES):
        if table.name in outputs:
            table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def distribution_lines(outcomes: Outcomes) -> Iterator[Line]:
    """Natural rows of one model by number of hits, empty counts included."""
    counts = np.bincount(outcomes.hits[outcomes.rows_of(NATURAL)], minlength=outcomes.steps + 1)
    for hits, n in enumerate(counts.tolist()):
        yield who(outcomes) | {"hits": hits, "n": n, "share": n / counts.sum() if n else 0.0}


def half_lines(outcomes: Outcomes, options: Mapping[str, Any]) -> Iterator[Line]:
    """Each domain's sample as two disjoint ones, by the last bit of the text's name, which is a hash."""
    memorized = outcomes.memorized(options)
    for domain, part in outcomes.starts.items():
        texts = outcomes.texts[part]
        halves = [clusters(memorized[part][texts % 2 == bit], texts[texts % 2 == bit]) for bit in (0, 1)]
        if not all(len(half.sizes) for half in halves):
            continue
        line = who(outcomes) | {"domain": domain, "kind": outcomes.kinds[domain]}
        for name, half in zip(("first", "second"), halves, strict=True):
            n = int(half.sizes.sum())
            line |= {f"{name}_n": n, f"{name}_rate": float(half.sums.sum()) / n}
        yield line | {"p_value": equal_rates_p_value(*halves)}


def control_lines(outcomes: Outcomes, repetitions: Mapping[int, int], options: Mapping[str, Any]) -> Iterator[Line]:
    """Rates of one model's planted rows by their known repetition count."""
    rows = outcomes.rows_of(PLANTED)
    lost = [row_id for row_id in outcomes.row_ids[rows].tolist() if row_id not in repetitions]
    if lost:
        raise ReciteError("scores hold planted rows that no sample holds; delete the scores and run again.")
    counts = np.array([repetitions[row_id] for row_id in outcomes.row_ids[rows].tolist()], np.int64)
    for count in np.unique(counts).tolist():
        line = who(outcomes) | {"repetitions": count, **summarize(outcomes, rows[counts == count], options)}
        yield {name: line[name] for name in CONTROL_RATES.names}


def _by_corpus(files: Mapping[Run, list[Path]], options: Mapping[str, Any]) -> Iterator[tuple[str, list[list[Path]]]]:
    """Corpora with the files of each of their models."""
    found: dict[str, list[list[Path]]] = {}
    for run, paths in files.items():
        found.setdefault(options["corpora"][run.model], []).append(paths)
    yield from sorted(found.items())
