"""From scores of siblings to E[M | text in training] - E[M | not] (Zhang et al., arXiv 2112.12938)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.corpora.planted import known_copies
from recite.errors import ReciteError
from recite.outcomes.copies import copies_of
from recite.outcomes.frame import PLANTED
from recite.outcomes.means import bags_of
from recite.outcomes.rates import Line, strata, who
from recite.outcomes.rows import Outcomes, read_outcomes
from recite.stages.counterfactual.rows import HALF_NAMES, HALVES
from recite.stages.counterfactual.tables import COUNTERFACTUAL
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import effective_rows, wilson, with_ends
from recite.tables import read_metadata


class Siblings(NamedTuple):
    """One model's rows under all siblings.

    first: any sibling's outcomes, for the rows' frame. scores, (seeds, rows, 2) float64: M under the sibling that saw
    the row's text and under the one that did not; recited: whether it is memorized, likewise.
    """

    first: Outcomes
    scores: np.ndarray
    recited: np.ndarray


def aggregate_counterfactual(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    halves: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    counterfactual: Path,
) -> None:
    """Write the table counterfactual from the `scores` of all siblings and the `halves` of all seeds.

    `planted` and `controls` as for the scores.
    """
    siblings = read_siblings(scores, halves, options)
    repetitions = known_copies(planted, controls) if controls else {}
    lines = list(lines_of(siblings, copies_of(siblings.first.frame, repetitions), options))
    COUNTERFACTUAL.write_lines(counterfactual, lines, {"options": dict(options)})


def read_siblings(scores: Sequence[Path], halves: Sequence[Path], options: Mapping[str, Any]) -> Siblings:
    """All siblings side by side; ReciteError where they were scored on different rows."""
    files: dict[tuple[int, str], list[Path]] = {}
    for path in scores:
        made = read_metadata(path)["options"]
        files.setdefault((made["seed"], made["without"]), []).append(path)
    first = read_outcomes(next(iter(files.values())), SCORES, options)
    found = []
    for path in sorted(halves, key=lambda path: read_metadata(path)["options"]["seed"]):
        seed, table = read_metadata(path)["options"]["seed"], HALVES.read(path)
        half_of = dict(zip(table["row_id"].to_pylist(), table["half"].to_pylist(), strict=True))
        values = {}
        for half in HALF_NAMES:
            outcomes = read_outcomes(files[seed, half], SCORES, options)
            ids = outcomes.frame.row_ids
            if not np.array_equal(ids, first.frame.row_ids) or not half_of.keys() >= set(ids.tolist()):
                folder = files[seed, half][0].parent
                raise ReciteError(f"{folder} holds other rows than its siblings' scores; delete it and run again.")
            values[half] = np.column_stack([outcomes.hits / outcomes.steps, outcomes.memorized(options)])
        without_a, without_b = (values[half] for half in HALF_NAMES)
        of_a = np.array([[half_of[row_id] == "a"] for row_id in first.frame.row_ids.tolist()])
        seen, unseen = np.where(of_a, without_b, without_a), np.where(of_a, without_a, without_b)
        found.append(np.stack([seen, unseen], axis=2))
    both = np.stack(found)
    return Siblings(first, both[:, :, 0], both[:, :, 1])


def lines_of(siblings: Siblings, copies: np.ndarray, options: Mapping[str, Any]) -> Iterator[Line]:
    """A line for every domain, planted ones by `copies` (planted rows,), and for all natural domains together."""
    frame = siblings.first.frame
    of_row = np.zeros(len(frame.row_ids), np.int64)
    if len(copies):
        of_row[frame.rows_of(PLANTED)] = copies
    for domain, kind, of_domain in frame.each_domain():
        for count in np.unique(of_row[of_domain]).tolist():
            rows = of_domain[of_row[of_domain] == count]
            about = {"domain": domain, "kind": kind, "copies": count, "seeds": len(siblings.scores)}
            yield who(siblings.first) | about | _means(siblings, rows, options) | _rates(siblings, rows, options)


def _means(siblings: Siblings, rows: np.ndarray, options: Mapping[str, Any]) -> Line:
    """Mean scores of some rows, seeds averaged within a row, their difference, and how far single seeds' lie apart."""
    bags = bags_of(siblings.first.frame, rows, options)
    means = bags.means(bags.sums(siblings.scores.mean(axis=0)))
    line: Line = {"n": len(rows), "distinct": bags.distinct}
    columns = {"mean_in": means[:, 0], "mean_out": means[:, 1], "difference": means[:, 0] - means[:, 1]}
    for name, values in columns.items():
        line |= with_ends(name, values, options["confidence"])
    single = np.diff(siblings.scores[:, rows], axis=2).mean(axis=1)
    return line | {"spread": float(np.ptp(single))}


def _rates(siblings: Siblings, rows: np.ndarray, options: Mapping[str, Any]) -> Line:
    """Shares of some rows that are memorized, seeds averaged within a row."""
    line: Line = {}
    for name, values in zip(("rate_in", "rate_out"), siblings.recited.mean(axis=0)[rows].T, strict=True):
        rate = float(values.mean())
        low, high = wilson(rate, effective_rows(strata(siblings.first.frame, rows, values)), options["confidence"])
        line |= {name: rate, f"{name}_low": low, f"{name}_high": high}
    return line
