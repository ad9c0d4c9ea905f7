"""From rows to classes: what each layer leaves of the noise, what similarity it gives back, and for whom."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.outcomes.draws import DRAWS, draw_line
from recite.outcomes.frame import NATURAL, PLANTED
from recite.outcomes.means import ALL, FEWEST, MEMORIZED, UNMEMORIZED, Bags, bags_of, groups_of, layer_lines
from recite.outcomes.rows import Outcomes, Run, files_by_model, read_outcomes
from recite.outcomes.sums import read_blocks, summed
from recite.stages.recovery.rows import MEASURES, RECOVERED
from recite.stages.recovery.tables import RECOVERY, RECOVERY_TESTS
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import with_ends
from recite.statistics.tests import adjusted, sign_p_value
from recite.tables import read_metadata

Line = dict[str, Any]
Statistics = dict[str, np.ndarray]
"""Name -> by layer, (1 + resamples, layers): as seen, and then under resamples."""
Drawn = dict[tuple[str, str], tuple[Bags, Statistics]]
"""(natural or planted, group) -> its rows and their statistics."""
TESTED = ("growth", "beyond", "regained")
"""What memorized and unmemorized rows are compared by."""


def aggregate_recovery(
    options: Mapping[str, Any], scores: Sequence[Path], recovery: Sequence[Path], outputs: Mapping[str, Path]
) -> None:
    """Write the tables recovery, recovery_tests and draws.

    `scores` are the undisturbed scores of the same models, which make the classes. The rows of one domain of one
    model at one strength are in memory at a time.
    """
    clean = files_by_model(scores)
    lines: list[Line] = []
    tests: list[Line] = []
    draws: list[Line] = []
    read: dict[str, Outcomes] = {}
    runs = files_by_model(recovery)
    first = min(run.noise_layer for run in runs)
    strongest = first, max(run.alpha for run in runs if run.noise_layer == first)
    for run, paths in runs.items():
        if run.model not in read:
            read = {run.model: read_outcomes(clean[Run(run.model)], SCORES, options)}
        outcomes = read[run.model]
        who = run._asdict() | {"family": outcomes.family, "parameters": outcomes.parameters}
        made = read_metadata(paths[0])
        drawn: Drawn = {}
        for rows, group, bags, sums in group_sums(paths, outcomes, options):
            drawn[rows, group] = bags, statistics_of(bags.means(sums))
            counts = {"rows": rows, "group": group, "n": len(bags.rows), "distinct": bags.distinct}
            for place, line in enumerate(layer_lines(drawn[rows, group][1], options["confidence"])):
                layer = made["first_layer"] + place
                lines.append(who | counts | {"layer": layer, "depth": (layer + 1) / made["layers"]} | line)
        tests += [who | line for line in comparison_lines(drawn, options["confidence"])]
        if (run.noise_layer, run.alpha) == strongest:
            draws += claimed_lines(who, drawn)
    for line, q_value in zip(tests, adjusted([line["p_value"] for line in tests]), strict=True):
        line["q_value"] = q_value
    for table, found in ((RECOVERY, lines), (RECOVERY_TESTS, tests), (DRAWS, draws)):
        table.write_lines(outputs[table.name], found, {"options": dict(options)})


def group_sums(
    paths: Sequence[Path], outcomes: Outcomes, options: Mapping[str, Any]
) -> Iterator[tuple[str, str, Bags, np.ndarray]]:
    """Each class of one model at one strength, and what its bags add to every measure, (bags, measures x layers).

    ReciteError where the files hold other rows than `outcomes`.
    """
    groups = [(rows, group, bags_of(outcomes.frame, own, options)) for rows, group, own in groups_of(outcomes, options)]
    blocks = read_blocks(RECOVERED, paths, [*MEASURES], outcomes)
    sums = summed(blocks, [bags for *_, bags in groups], lambda columns: np.column_stack([*columns.values()]))
    for (rows, group, bags), of_group in zip(groups, sums, strict=True):
        yield rows, group, bags, of_group


def statistics_of(means: np.ndarray) -> Statistics:
    """What is told of mean measures, (1 + resamples, measures x layers)."""
    found = dict(zip(MEASURES, np.split(means, len(MEASURES), axis=1), strict=True))
    return found | {"regained": regained_share(found["cosine"]), "beyond": found["cosine"] - found["baseline"]}


def regained_share(means: np.ndarray) -> np.ndarray:
    """(cos_l - cos_0) / (1 - cos_0) of mean cosines, (..., layers), first the disturbed one; NaN where that is 1."""
    first = means[..., :1]
    lost = 1 - first
    share = np.full(means.shape, np.nan)
    return np.divide(means - first, lost, out=share, where=np.broadcast_to(lost > 0, means.shape))


def comparison_lines(drawn: Drawn, confidence: float) -> Iterator[Line]:
    """Memorized against unmemorized rows at the last layer, where both classes have texts enough."""
    for rows in (NATURAL, PLANTED):
        pair = pair_of(drawn, rows)
        if not pair:
            continue
        counts: Line = {"rows": rows}
        for name, (bags, _) in zip((MEMORIZED, UNMEMORIZED), pair, strict=True):
            counts |= {f"{name}_n": len(bags.rows), f"{name}_distinct": bags.distinct}
        for measure in TESTED:
            difference = difference_of(pair, measure)
            line = {"measure": measure, "p_value": sign_p_value(difference[1:])}
            yield counts | line | with_ends("difference", difference, confidence)


def pair_of(drawn: Drawn, rows: str) -> list[tuple[Bags, Statistics]]:
    """Memorized and unmemorized rows; none where one class has too few texts."""
    pair = [drawn[rows, group] for group in (MEMORIZED, UNMEMORIZED) if (rows, group) in drawn]
    return pair if len(pair) == 2 and all(bags.distinct >= FEWEST for bags, _ in pair) else []


def difference_of(pair: Sequence[tuple[Bags, Statistics]], measure: str) -> np.ndarray:
    """A measure at the last layer, memorized rows less unmemorized ones: (1 + resamples,)."""
    memorized, unmemorized = (statistics[measure][:, -1] for _, statistics in pair)
    return np.asarray(memorized - unmemorized)


def claimed_lines(who: Line, drawn: Drawn) -> Iterator[Line]:
    """What claims are taken from: natural rows at the last layer."""
    if (NATURAL, ALL) in drawn:
        yield draw_line(who, "growth", drawn[NATURAL, ALL][1]["growth"][:, -1])
    pair = pair_of(drawn, NATURAL)
    for measure in ("growth", "beyond") if pair else ():
        yield draw_line(who, f"{measure}_difference", difference_of(pair, measure))
