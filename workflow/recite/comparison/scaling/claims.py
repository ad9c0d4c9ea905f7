"""Claims on model size.

The paper: memorization grows log-linearly with model size. That is two claims: it grows within families, and on a
straight line over the logarithm.
"""

from collections.abc import Sequence

import numpy as np

from recite.outcomes.draws import Draw
from recite.outcomes.findings import Finding, Measured, Part, Statistics, by_family, found
from recite.statistics.fits import line, within


def scaling(measured: Measured) -> Finding | None:
    """Common slope of the families, each with its own intercept, per tenfold size."""
    return found(_growing(measured, 2), common_slope, measured.confidence)


def log_linear(measured: Measured) -> Finding | None:
    """Size of the bend: how far a family's middle lies from its chord, over the rise from end to end."""
    finding = found(_growing(measured, 3), bend, measured.confidence)
    return finding and absolute(finding)


def _growing(measured: Measured, sizes: int) -> list[Draw]:
    """Models of the families that have so many sizes, if any of them memorizes anything."""
    families = by_family(measured.of("natural_rate")).values()
    kept = [draw for group in families if len({one.parameters for one in group}) >= sizes for draw in group]
    return kept if any(draw.values[0, 0] for draw in kept) else []


def common_slope(draws: Sequence[Draw]) -> np.ndarray:
    """Slope of the rate over log10(parameters) under intercepts of each family: (1 + resamples,)."""
    x, y = _centred(draws)
    return line(x, y).slope


def bend(draws: Sequence[Draw]) -> np.ndarray:
    """The same with a common curvature: its part of the rise, from chord to curve in the middle, (1 + resamples,).

    Positive where the curve lies above the chord.
    """
    x, y = _centred(draws)
    families = [draw.family for draw in draws]
    squares = within(x**2, families)
    slope = line(x, y).slope
    rest = squares - x * line(x, squares).slope
    curvature = (y - slope[:, None] * x) @ rest / (rest @ rest)
    spans = [np.ptp(x[np.array(families) == family]) for family in sorted(set(families))]
    span = float(np.mean(spans))
    found_bend: np.ndarray = -curvature * span**2 / 4 / np.where(slope == 0, np.nan, slope * span)
    return found_bend


def _centred(draws: Sequence[Draw]) -> tuple[np.ndarray, np.ndarray]:
    """log10 of the parameters (models,), and rates (1 + resamples, models), both about the means of their families."""
    families = [draw.family for draw in draws]
    x = np.log10([float(draw.parameters) for draw in draws])
    return within(x, families), within(np.column_stack([draw.values[:, 0] for draw in draws]), families)


def absolute(finding: Finding) -> Finding:
    """The size of a statistic: an interval that holds 0 begins there."""
    low, high = _sizes(finding.low, finding.high)
    families_low, families_high = _sizes(finding.families_low, finding.families_high)
    parts = tuple(
        Part(part.family, part.models, abs(part.value), *_sizes(part.low, part.high)) for part in finding.parts
    )
    return Finding(
        abs(finding.value), low, high, families_low, families_high, finding.models, finding.families, parts=parts
    )


def _sizes(low: float, high: float) -> tuple[float, float]:
    """Ends of the size of what lies between two ends."""
    return (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))


STATISTICS: Statistics = {
    "scaling": scaling,
    "log_linear": log_linear,
}
