"""Intervals, tests and fits for rows that are not independent: equal texts have equal scores.

A row's outcome is a function of its text, and texts recur in a corpus, so the distinct texts are what was
sampled. Every interval treats the rows of one text as one cluster.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy import stats

DRAWS_AT_ONCE = 10**7
"""Counts, of 8 bytes, that one block of resamples may hold."""
ROUNDING = 1e-12
"""What a sum of rates may be off by; less is zero."""


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


class Clusters(NamedTuple):
    """The distinct texts of some rows.

    sizes: (texts,) rows of each text. sums: (texts,) how many of them have the outcome. Sorted by the text's name.
    """

    sizes: np.ndarray
    sums: np.ndarray


def clusters(outcomes: np.ndarray, texts: np.ndarray) -> Clusters:
    """Count by text: `outcomes` (rows,) is true or false, `texts` (rows,) names each row's text."""
    _, places, sizes = np.unique(texts, return_inverse=True, return_counts=True)
    return Clusters(sizes, np.bincount(places, weights=outcomes, minlength=len(sizes)))


def effective_rows(outcomes: np.ndarray, texts: np.ndarray) -> float:
    """How many independent rows would give the rate's standard error; at most the number of rows.

    `outcomes` (rows,) is 0 or 1, `texts` (rows,) names each row's text. The variance of the rate is that of a
    ratio over clusters (Cochran 1977, chapter 9A); where it understates, as with a rate of 0 or 1, the bound is
    Kish's (sum m)^2 / sum m^2 for clusters of m rows (Kish 1965).
    """
    return effective_clusters(clusters(outcomes, texts))


def effective_clusters(found: Clusters) -> float:
    """`effective_rows` of rows that are counted by text already."""
    rows = int(found.sizes.sum())
    kish = rows**2 / float((found.sizes.astype(float) ** 2).sum())
    rate = float(found.sums.sum()) / rows
    variance = float(((found.sums - rate * found.sizes) ** 2).sum()) / rows**2
    return min(kish, rate * (1 - rate) / variance) if variance > 0 else kish


def wilson(rate: float, n: float, confidence: float) -> Interval:
    """Wilson score interval (Wilson 1927) of a rate seen on `n` independent rows; `n` need not be whole."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    # Rounding must not put the rate itself outside.
    return Interval(min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half)))


def resampled(sums: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Sums under a bootstrap that resamples texts: (resamples, k) from what each text adds to k sums, (texts, k).

    Texts that add the same are drawn together: one multinomial over the distinct rows of `sums` has the distribution of
    drawing texts one by one with replacement (Efron 1979), and costs resamples x distinct rows.
    """
    names = [str(column) for column in range(sums.shape[1])]
    table = pa.table([pa.array(column) for column in sums.T], names=names)
    distinct = table.group_by(names, use_threads=False).aggregate([([], "count_all")])
    distinct = distinct.sort_by([(name, "ascending") for name in names])
    values = np.column_stack([distinct[name].to_numpy() for name in names]).astype(float)
    counts = distinct["count_all"].to_numpy()
    block = max(1, DRAWS_AT_ONCE // len(counts))
    parts = []
    for start in range(0, resamples, block):
        drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=min(block, resamples - start))
        parts.append(drawn @ values)
    return np.concatenate(parts)


def interval(replicates: np.ndarray, confidence: float) -> Interval:
    """Percentile interval (Efron 1979) of a statistic's values under resamples; NaN, undefined ones, are left out."""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def around(values: np.ndarray, confidence: float) -> Interval:
    """Normal interval, within [0, 1], of a statistic whose values are as seen and then under resamples.

    By the resamples' standard error: a statistic of ranked sets is noisier under resamples and its values are lower, so
    that percentiles would lie beside what was seen.
    """
    half = float(stats.norm.ppf((1 + confidence) / 2)) * float(values[1:].std(ddof=1))
    return Interval(max(0.0, float(values[0]) - half), min(1.0, float(values[0]) + half))


def sign_p_value(replicates: np.ndarray) -> float:
    """Two-sided p-value of the hypothesis that a statistic is 0, by inverting its percentile interval.

    Twice (1 + the resamples on the rarer side of 0) / (1 + resamples), at most 1 (Davison & Hinkley 1997, section 4.2).
    """
    defined = replicates[~np.isnan(replicates)]
    rarer = min(int((defined <= ROUNDING).sum()), int((defined >= -ROUNDING).sum()))
    return min(1.0, 2 * (1 + rarer) / (1 + len(defined)))


def adjusted(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """q-values that hold the false discovery rate over all of `p_values` (Benjamini & Hochberg 1995)."""
    values = np.asarray(p_values, float)
    return np.asarray(stats.false_discovery_control(values)) if len(values) else values


def equal_rates_p_value(first: Clusters, second: Clusters) -> float:
    """Two-sided p-value of the hypothesis that the rates of two sets of texts, none in both, are equal.

    A score test on the effective rows of each, with the rate of both together; 1 where no row or every row of both has
    the outcome.
    """
    rows, sums = first.sizes.sum() + second.sizes.sum(), first.sums.sum() + second.sums.sum()
    together = float(sums / rows)
    if together in (0.0, 1.0):
        return 1.0
    variance = together * (1 - together) * sum(1 / effective_clusters(part) for part in (first, second))
    difference = first.sums.sum() / first.sizes.sum() - second.sums.sum() / second.sizes.sum()
    return float(2 * stats.norm.sf(abs(difference) / math.sqrt(variance)))


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


class Line(NamedTuple):
    """Least-squares lines y = intercept + slope x; each number an array with one entry per set of y."""

    slope: np.ndarray
    intercept: np.ndarray


def line(x: np.ndarray, y: np.ndarray) -> Line:
    """Least-squares lines through `x` (points,) and each of `y` (..., points); ValueError for a single x."""
    centred = x - x.mean()
    spread = float((centred**2).sum())
    if spread == 0:
        raise ValueError("a line needs models of at least two sizes")
    slope = (y * centred).sum(axis=-1) / spread
    return Line(slope, y.mean(axis=-1) - slope * x.mean())


def r_squared(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the variance of `y` (points,) that its line explains; NaN where all are equal."""
    fitted = line(x, y)
    residual = float(((y - fitted.intercept - fitted.slope * x) ** 2).sum())
    return 1 - residual / float(((y - y.mean()) ** 2).sum()) if np.ptp(y) > ROUNDING else math.nan


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
