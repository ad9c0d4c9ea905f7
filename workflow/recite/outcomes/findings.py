"""Statistics of claims: a number over several models, with two intervals.

For these models: the models' resamples are the same draws of the same documents, so the statistic is computed in every
resample, and percentiles give its sampling error. For models of such families: each family left out in turn (the
delete-one jackknife, Tukey 1958), and Student's t over the families; of a mean over families that is the t-interval of
their values. A census has no sampling error, but its families are still few.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from recite.outcomes.draws import Draw, Draws
from recite.statistics.intervals import Interval, interval

FEWEST_FAMILIES = 3
"""Families without which nothing is said of others like them."""


class Part(NamedTuple):
    """One family's own value of a statistic, with its sampling error."""

    family: str
    models: str
    value: float
    low: float
    high: float


class Finding(NamedTuple):
    """A claim's statistic: for these models, and for models of such families; both ends NaN where that is not known.

    p_value: of a permutation test where the claim has one, else NaN. parts: every family's own value, where it has one.
    """

    value: float
    low: float
    high: float
    families_low: float
    families_high: float
    models: int
    families: int
    p_value: float = math.nan
    parts: tuple[Part, ...] = ()


class Measured(NamedTuple):
    """What a statistic may be taken from: a study's tables and draws, and the level of its intervals."""

    tables: Mapping[str, pd.DataFrame]
    draws: Draws
    confidence: float

    def of(self, statistic: str) -> list[Draw]:
        """The models of a statistic that has a value."""
        return [draw for draw in self.draws.get(statistic, ()) if not np.isnan(draw.values[0]).any()]


Statistic = Callable[[Measured], Finding | None]
"""From what was measured to a finding; None where the study's models do not suffice."""
Statistics = Mapping[str, Statistic]
"""Claim -> its statistic."""
Joint = Callable[[Sequence[Draw]], np.ndarray]
"""A statistic of several models: (1 + resamples,) from their draws."""


def largest(draws: Sequence[Draw]) -> list[Draw]:
    """Each family's largest model."""
    return [max(group, key=lambda draw: draw.parameters) for group in by_family(draws).values()]


def by_family(draws: Sequence[Draw]) -> dict[str, list[Draw]]:
    """Family -> its models."""
    found: dict[str, list[Draw]] = {}
    for draw in draws:
        found.setdefault(draw.family, []).append(draw)
    return found


def mean(draws: Sequence[Draw]) -> np.ndarray:
    """Mean over models of their first number."""
    values: np.ndarray = np.mean([draw.values[:, 0] for draw in draws], axis=0)
    return values


def mean_of_largest(measured: Measured, statistic: str) -> Finding | None:
    """The mean over each family's largest model."""
    return found(largest(measured.of(statistic)), mean, measured.confidence)


def found(
    draws: Sequence[Draw],
    joint: Joint,
    confidence: float,
    alone: Joint | None = None,
    p_value: float = math.nan,
    ends: Callable[[np.ndarray, float], Interval] | None = None,
) -> Finding | None:
    """A statistic of some models with its intervals; None without models, or where it is not defined of them.

    `alone` is the same of a single family, `joint` unless given; without it families are not shown one by one. `ends`
    makes an interval of (1 + resamples,) values, percentiles unless given.
    """
    if not draws:
        return None
    ends = ends or (lambda values, level: interval(values[1:], level))
    values = joint(draws)
    if math.isnan(values[0]):
        return None
    families = by_family(draws)
    low, high = ends(values, confidence)
    apart = families_interval(values[0], leave_one_out(draws, joint), confidence)
    parts = []
    for family, own in families.items():
        of_one = (alone or joint)(own)
        if not math.isnan(of_one[0]):
            names = ", ".join(draw.model for draw in own)
            parts.append(Part(family, names, float(of_one[0]), *ends(of_one, confidence)))
    return Finding(float(values[0]), low, high, *apart, len(draws), len(families), p_value, tuple(parts))


def leave_one_out(draws: Sequence[Draw], joint: Joint) -> np.ndarray:
    """The statistic as seen without each family in turn, (families,); none of too few families."""
    names = list(by_family(draws))
    if len(names) < FEWEST_FAMILIES:
        return np.array([])
    return np.array([joint([draw for draw in draws if draw.family != name])[0] for name in names])


def families_interval(value: float, without: np.ndarray, confidence: float) -> Interval:
    """Student's interval by the jackknife, from a statistic and its values without each family; NaN for too few."""
    count = len(without)
    if count < FEWEST_FAMILIES or np.isnan(without).any():
        return Interval(math.nan, math.nan)
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return Interval(value - half, value + half)


def nothing(draws: Sequence[Draw]) -> np.ndarray:
    """In place of a single family's value where there is none: of what holds between families."""
    return np.full(len(draws[0].values), math.nan)
