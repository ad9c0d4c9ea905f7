"""Intervals for rows that were sampled in units, a domain each a stratum, some of them from an end of units."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

ROUNDING = 1e-12
"""What a sum of rates may be off by; less is zero."""


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


class Stratum(NamedTuple):
    """The sampled units of one domain.

    sizes: (units,) rows of each unit. sums: (units,) how many of them have the outcome. fraction: share of all units
    that was sampled, 0 where there is no end of them. others: further units of the domain's sample, which have no such
    rows.
    """

    sizes: np.ndarray
    sums: np.ndarray
    fraction: float
    others: int = 0


def effective_rows(strata: Sequence[Stratum]) -> float:
    """How many independent rows of an endless population would give the rate's standard error; infinite for a census.

    The variance of the rate is that of a ratio over the units of a stratified sample without replacement (Cochran 1977,
    chapters 5 and 6). Where no unit differs from the others, as with a rate of 0 or 1, that says nothing: then each
    stratum counts as if its rows were Bernoulli, alike within a unit (Kish 1965).
    """
    rows = sum(int(part.sizes.sum()) for part in strata)
    rate = sum(float(part.sums.sum()) for part in strata) / rows
    variance = sum(_variance(part, rate) for part in strata) / rows**2
    kish = sum((1 - part.fraction) * float((part.sizes.astype(float) ** 2).sum()) for part in strata) / rows**2
    if kish == 0:
        return math.inf
    return rate * (1 - rate) / variance if variance > ROUNDING * kish else 1 / kish


def _variance(part: Stratum, rate: float) -> float:
    """Of the sum of residuals from the ratio `rate` in one stratum."""
    count = len(part.sizes) + part.others
    residuals = part.sums - rate * part.sizes
    spread = float((residuals**2).sum() - residuals.sum() ** 2 / count)
    return (1 - part.fraction) * spread * count / max(count - 1, 1)


def wilson(rate: float, n: float, confidence: float) -> Interval:
    """Wilson score interval (Wilson 1927) of a rate seen on `n` independent rows; `n` need not be whole."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    # Rounding must not put the rate itself outside.
    return Interval(min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half)))


def interval(replicates: np.ndarray, confidence: float) -> Interval:
    """Percentile interval (Efron 1979) of a statistic's values under resamples; NaN, undefined ones, are left out."""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def with_ends(name: str, values: np.ndarray, confidence: float) -> dict[str, float]:
    """Columns of a statistic, `values` (1 + resamples,) as seen and then under resamples: itself and its interval."""
    low, high = interval(values[1:], confidence)
    return {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}


def around(values: np.ndarray, confidence: float) -> Interval:
    """`around_mean` of a statistic that lies in [0, 1]."""
    low, high = around_mean(values, confidence)
    return Interval(max(0.0, low), min(1.0, high))


def around_mean(values: np.ndarray, confidence: float) -> Interval:
    """Normal interval of a statistic whose values are as seen and then under resamples.

    By the resamples' standard error: a statistic of ranked sets is noisier under resamples and its values are lower, so
    that percentiles would lie beside what was seen.
    """
    half = float(stats.norm.ppf((1 + confidence) / 2)) * float(values[1:].std(ddof=1))
    return Interval(float(values[0]) - half, float(values[0]) + half)
