"""Intervals, tests and fits for rows that are not independent: equal texts have equal scores.

A row's outcome is a function of its text, and texts recur in a corpus, so the distinct texts are what was
sampled. Every interval treats the rows of one text as one cluster.
"""

import math
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
