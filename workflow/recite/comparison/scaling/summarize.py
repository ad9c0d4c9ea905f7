"""Scaling: memorization rate against log10(parameters), per family and with one slope for all, with tests and a
prediction.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.comparison.scaling.tables import PREDICTIONS, SCALING, SLOPE_TESTS
from recite.outcomes.frame import NATURAL, PLANTED
from recite.outcomes.replicates import Resampled, read_replicates, together
from recite.statistics.fits import line, r_squared, within
from recite.statistics.intervals import with_ends
from recite.statistics.tests import adjusted, equal_slopes, sign_p_value

COMMON = "common"
"""In place of a family: one slope for all, each with its own intercept."""


def fit_scaling(options: Mapping[str, Any], replicates: Path, outputs: Mapping[str, Path]) -> None:
    """Write the tables scaling, slope_tests and predictions; `options` holds the level of the intervals."""
    models = read_replicates([replicates])
    confidence = options["confidence"]
    lines: dict[str, list[dict[str, Any]]] = {name: [] for name in outputs}
    for rows in (NATURAL, PLANTED):
        points = [(model, rates) for model in models if (rates := _rates(model, rows)) is not None]
        lines["scaling"] += _fits(points, rows, confidence)
        lines["slope_tests"] += _slope_test(points, rows)
        lines["predictions"] += _predictions(points, rows, confidence)
    for fit, q_value in zip(lines["scaling"], adjusted([fit["p_value"] for fit in lines["scaling"]]), strict=True):
        fit["q_value"] = q_value
    for table in (SCALING, SLOPE_TESTS, PREDICTIONS):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


Point = tuple[Resampled, np.ndarray]
"""A model with its rate (1 + resamples,): as seen, then under every resample."""


def _rates(model: Resampled, rows: str) -> np.ndarray | None:
    parts = list(model.natural.values()) if rows == NATURAL else model.of_kind(PLANTED)
    return together(parts).rate if parts else None


def _groups(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Families with models of two sizes or more, and all of these together if there are several."""
    groups = defaultdict(list)
    for point in points:
        groups[point[0].family].append(point)
    found = {name: part for name, part in groups.items() if len({model.parameters for model, _ in part}) > 1}
    return found | ({COMMON: [point for part in found.values() for point in part]} if len(found) > 1 else {})


def _arrays(points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
    """log10 of the parameters (models,), and rates (1 + resamples, models)."""
    x = np.log10([float(model.parameters) for model, _ in points])
    return x, np.column_stack([rates for _, rates in points])


def _fits(points: Sequence[Point], rows: str, confidence: float) -> Iterator[dict[str, Any]]:
    for family, part in _groups(points).items():
        x, rates = _arrays(part)
        slopes, intercepts = line(x, rates)
        if family == COMMON:
            families = [model.family for model, _ in part]
            slopes, intercepts, x, rates = common_line(x, rates, families)
        yield {
            "family": family,
            "rows": rows,
            "models": len(part),
            **with_ends("slope", slopes, confidence),
            "p_value": sign_p_value(slopes[1:]),
            "intercept": intercepts[0],
            "r_squared": r_squared(x, rates[0]),
        }


def common_line(
    x: np.ndarray, rates: np.ndarray, families: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Slope within families and its intercept through the mean of all, then sizes and rates about their families'
    means.
    """
    about, moved = within(x, families), within(rates, families)
    slopes = line(about, moved).slope
    return slopes, rates.mean(axis=-1) - slopes * x.mean(), about, moved


def _slope_test(points: Sequence[Point], rows: str) -> Iterator[dict[str, Any]]:
    groups = {family: part for family, part in _groups(points).items() if family != COMMON}
    members = [point for part in groups.values() for point in part]
    if not members:
        return
    x, rates = _arrays(members)
    test = equal_slopes(x, rates[0], [model.family for model, _ in members])
    if test:
        yield {"rows": rows, "families": len(groups), "models": len(members), **test._asdict()}


def _predictions(points: Sequence[Point], rows: str, confidence: float) -> Iterator[dict[str, Any]]:
    """The largest model of every family from the line through the smaller ones, of two sizes or more."""
    for family, part in _groups(points).items():
        largest = max(part, key=lambda point: point[0].parameters)
        smaller = [point for point in part if point[0].parameters < largest[0].parameters]
        if family == COMMON or len({model.parameters for model, _ in smaller}) < 2:
            continue
        slopes, intercepts = line(*_arrays(smaller))
        predicted = intercepts + slopes * np.log10(float(largest[0].parameters))
        found: dict[str, Any] = {"observed": largest[1][0]}
        for name, values in (("predicted", predicted), ("difference", largest[1] - predicted)):
            found |= with_ends(name, values, confidence)
        model = largest[0]
        yield {
            "model": model.model,
            "family": family,
            "parameters": model.parameters,
            "rows": rows,
            "models": len(smaller),
            **found,
        }
