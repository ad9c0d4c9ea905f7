"""From counts and scores to rates by frequency, their thresholds, and what the way of counting does to both."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.outcomes import rates
from recite.outcomes.draws import DRAWS, draw_line
from recite.outcomes.frame import NATURAL, PLANTED
from recite.outcomes.means import bags_of
from recite.outcomes.rows import Outcomes, files_by_model, read_outcomes
from recite.stages.frequency.countings import SPANS, TOKEN_FREQUENCY, Frequencies, counting_lines, read_frequencies
from recite.stages.frequency.tables import COUNTINGS, FREQUENCY_RATES, THRESHOLDS
from recite.stages.frequency.thresholds import Curve, kink_gain, rising, threshold, threshold_interval
from recite.stages.scoring.rows import SCORES

Line = dict[str, Any]
Counted = Mapping[str, Frequencies]
BINS_PER_OCTAVE = {span: 1 for span in SPANS} | {TOKEN_FREQUENCY: 2}
"""How finely each measure is cut; counts are 1, 2 to 3, 4 to 7 and so on, and 0 by itself."""
NEVER = -1
"""Base-2 logarithm, and bin, of what is counted nowhere: as if it were half an occurrence."""


def aggregate_frequencies(
    options: Mapping[str, Any], scores: Sequence[Path], frequencies: Sequence[Path], outputs: Mapping[str, Path]
) -> None:
    """Write the tables frequency_rates, thresholds, countings and draws.

    `options` are the study's aggregation options with `countings`, of which the first is the one that others are
    held against, and `rise`. `frequencies` name their family and counting. One model's scores are in memory at a time.
    """
    found = read_frequencies(frequencies, options["countings"])
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for family, counted in found.items():
        lines["countings"] += counting_lines(family, counted, options["confidence"])
    for paths in files_by_model(scores).values():
        outcomes = read_outcomes(paths, SCORES, options)
        counted = found[outcomes.family]
        outcomes = outcomes.part(np.isin(outcomes.frame.row_ids, counted[options["countings"][0]].row_ids))
        for kind in (NATURAL, PLANTED):
            rows = outcomes.frame.rows_of(kind)
            if len(rows):
                lines["frequency_rates"] += rate_lines(outcomes, kind, rows, counted, options)
                lines["thresholds"] += threshold_lines(outcomes, kind, rows, counted, options)
        natural = outcomes.frame.rows_of(NATURAL)
        if len(natural):
            lines["draws"].append(claimed_line(outcomes, natural, counted, options))
    for table in (FREQUENCY_RATES, THRESHOLDS, COUNTINGS, DRAWS):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def places(values: np.ndarray, per_octave: int) -> tuple[np.ndarray, np.ndarray]:
    """Base-2 logarithm of each value, NEVER for 0, and the number of its bin."""
    logarithms = np.log2(values, out=np.full(len(values), float(NEVER)), where=values > 0)
    return logarithms, np.floor(logarithms * per_octave).astype(int)


def rate_lines(
    outcomes: Outcomes, kind: str, rows: np.ndarray, counted: Counted, options: Mapping[str, Any]
) -> Iterator[Line]:
    """Lines of the table frequency_rates: rate of every bin of every measure under every way of counting."""
    for counting, found in counted.items():
        for measure, per_octave in BINS_PER_OCTAVE.items():
            logarithms, bins = places(found.of(outcomes.frame.row_ids[rows], measure), per_octave)
            for number in np.unique(bins).tolist():
                chosen = bins == number
                is_none = measure in SPANS and number == NEVER
                yield who(outcomes, kind, counting, measure) | {
                    "from": 0.0 if is_none else 2.0 ** (number / per_octave),
                    "to": 1.0 if is_none else 2.0 ** ((number + 1) / per_octave),
                    "middle": 0.0 if is_none else float(2 ** logarithms[chosen].mean()),
                    **rates.summarize(outcomes, rows[chosen], options),
                }


def threshold_lines(
    outcomes: Outcomes, kind: str, rows: np.ndarray, counted: Counted, options: Mapping[str, Any]
) -> Iterator[Line]:
    """Lines of the table thresholds; texts are resampled for all ways of counting together: shifts are paired."""
    confidence, texts = options["confidence"], len(np.unique(outcomes.frame.texts[rows]))
    for measure in SPANS:
        values = {name: found.of(outcomes.frame.row_ids[rows], measure) for name, found in counted.items()}
        curves = rate_curves(outcomes, rows, values, options)
        reached = {name: threshold(curve, options["rise"]) for name, curve in curves.items()}
        for counting, found in reached.items():
            with np.errstate(invalid="ignore"):  # neither is reached
                shift = found - reached[options["countings"][0]]
            low, high = threshold_interval(found[1:], confidence)
            shift_low, shift_high = threshold_interval(shift[1:], confidence)
            yield who(outcomes, kind, counting, measure) | {
                "n": len(rows),
                "distinct": texts,
                "floor": float(rising(curves[counting])[0, 0]),
                "threshold": float(2 ** found[0]),
                "threshold_low": 2.0**low,
                "threshold_high": 2.0**high,
                "reached": float(np.isfinite(found[1:]).mean()),
                "shift": float(shift[0]),
                "shift_low": shift_low,
                "shift_high": shift_high,
            }


def claimed_line(outcomes: Outcomes, rows: np.ndarray, counted: Counted, options: Mapping[str, Any]) -> Line:
    """What a kink in the rate over a sequence's count has over smooth growth, by the study's first way of counting."""
    first = options["countings"][0]
    values = {first: counted[first].of(outcomes.frame.row_ids[rows], SPANS[0])}
    return draw_line(rates.who(outcomes), "kink", kink_gain(rate_curves(outcomes, rows, values, options)[first]))


def rate_curves(
    outcomes: Outcomes, rows: np.ndarray, values: Mapping[str, np.ndarray], options: Mapping[str, Any]
) -> dict[str, Curve]:
    """Counting -> its rates by bin: of all rows first, then of resamples of the texts, drawn domain by domain.

    `values` are counts (rows,) by counting. A curve's arrays are (1 + resamples, bins).
    """
    memorized = outcomes.memorized(options)[rows]
    middles, columns = {}, []
    for counting, counts in values.items():
        logarithms, bins = places(counts, 1)
        numbers, bins = np.unique(bins, return_inverse=True)
        middles[counting] = np.bincount(bins, weights=logarithms) / np.bincount(bins)
        inside = (bins[:, None] == np.arange(len(numbers))).astype(np.int32)
        columns += [inside, inside * memorized[:, None]]
    bags = bags_of(outcomes.frame, rows, options)
    whole = np.zeros((len(outcomes.hits), sum(part.shape[1] for part in columns)))
    whole[rows] = np.concatenate(columns, axis=1)
    drawn = bags.totals(bags.sums(whole))
    edges = np.cumsum([part.shape[1] for part in columns])[:-1]
    parts = np.split(drawn, edges, axis=1)
    return {name: Curve(place, *parts[2 * i : 2 * i + 2]) for i, (name, place) in enumerate(middles.items())}


def who(outcomes: Outcomes, kind: str, counting: str, measure: str) -> Line:
    return rates.who(outcomes) | {"rows": kind, "counting": counting, "measure": measure}
