"""Tests for rows that are not independent, and for slopes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from recite.statistics.intervals import ROUNDING


def sign_p_value(replicates: np.ndarray, texts: int | None = None) -> float:
    """Two-sided p-value of the hypothesis that a statistic is 0, by inverting its percentile interval.

    Twice (1 + the resamples on the rarer side of 0) / (1 + resamples), at most 1 (Davison & Hinkley 1997, section 4.2).
    Resamples of one or two texts fall on one side all too easily: of so many `texts`, no less than the 2^(1 - texts)
    with which all of them have one sign by chance.
    """
    defined = replicates[~np.isnan(replicates)]
    rarer = min(int((defined <= ROUNDING).sum()), int((defined >= -ROUNDING).sum()))
    least = 2.0 ** (1 - texts) if texts else 0.0
    return min(1.0, max(least, 2 * (1 + rarer) / (1 + len(defined))))


def permutation_p_value(values: np.ndarray) -> float:
    """One-sided: how often a permutation, the seen order of the first place included, reaches the first value."""
    defined = values[~np.isnan(values)]
    return float((defined >= values[0] - ROUNDING).mean())


def adjusted(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """q-values that hold the false discovery rate over all of `p_values` (Benjamini & Hochberg 1995)."""
    values = np.asarray(p_values, float)
    return np.asarray(stats.false_discovery_control(values)) if len(values) else values


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation along the last axis of (..., n) arrays; NaN where one of them does not vary.

    What varies by no more than the rounding of its values, however small these are, does not.
    """
    whole = [(values**2).sum(axis=-1) for values in (first, second)]
    first, second = (values - values.mean(axis=-1, keepdims=True) for values in (first, second))
    around = [(values**2).sum(axis=-1) for values in (first, second)]
    vary = [part > ROUNDING**2 * size for part, size in zip(around, whole, strict=True)]
    norms = np.sqrt(around[0] * around[1])
    return np.divide((first * second).sum(axis=-1), norms, out=np.full(norms.shape, np.nan), where=vary[0] & vary[1])


class SlopeTest(NamedTuple):
    """F statistic, its degrees of freedom, and the p-value of the hypothesis that all groups share one slope."""

    f: float
    df_between: int
    df_residual: int
    p_value: float


def equal_slopes(x: np.ndarray, y: np.ndarray, groups: Sequence[str]) -> SlopeTest | None:
    """Analysis of covariance: lines of each group's own slope against lines of one slope, each with its own intercept.

    `x`, `y` (points,). Groups of a single x do not take part. None where fewer than two groups remain, or no degree of
    freedom for the scatter about their lines, or no scatter.
    """
    names = np.asarray(groups)
    parts = [(x[names == name], y[names == name]) for name in sorted(set(groups))]
    parts = [(a, b) for a, b in parts if np.ptp(a) > 0]
    points, between = sum(len(a) for a, _ in parts), len(parts) - 1
    residual = points - 2 * len(parts)
    if between < 1 or residual < 1:
        return None
    sxx = np.array([((a - a.mean()) ** 2).sum() for a, _ in parts])
    sxy = np.array([((a - a.mean()) * b).sum() for a, b in parts])
    syy = np.array([((b - b.mean()) ** 2).sum() for _, b in parts])
    own = float((syy - sxy**2 / sxx).sum())
    shared = float(syy.sum() - sxy.sum() ** 2 / sxx.sum())
    if own <= ROUNDING * max(float(syy.sum()), ROUNDING):
        return None
    f = max(0.0, (shared - own) / between) / (own / residual)
    return SlopeTest(f, between, residual, float(stats.f.sf(f, between, residual)))
