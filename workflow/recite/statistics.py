"""Intervals and fits for rows that are not independent: equal texts have equal scores.

A row's outcome is a function of its text, and texts recur in a corpus, so the distinct texts are what was
sampled. Every interval treats the rows of one text as one cluster.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


class Line(NamedTuple):
    """Least-squares line y = intercept + slope x, with the slope's interval and the share of variance explained."""

    slope: float
    slope_low: float
    slope_high: float
    intercept: float
    r_squared: float


def effective_rows(outcomes: np.ndarray, texts: np.ndarray) -> float:
    """How many independent rows would give the rate's standard error; at most the number of rows.

    `outcomes` (rows,) is 0 or 1, `texts` (rows,) names each row's text. The variance of the rate is that of a
    ratio over clusters (Cochran 1977, chapter 9A); where it understates, as with a rate of 0 or 1, the bound is
    Kish's (sum m)^2 / sum m^2 for clusters of m rows (Kish 1965).
    """
    _, places, sizes = np.unique(texts, return_inverse=True, return_counts=True)
    kish = len(texts) ** 2 / float((sizes**2).sum())
    rate = float(np.mean(outcomes))
    residuals = np.bincount(places, weights=outcomes - rate)
    variance = float((residuals**2).sum()) / len(texts) ** 2
    return min(kish, rate * (1 - rate) / variance) if variance > 0 else kish


def wilson(rate: float, n: float, confidence: float) -> Interval:
    """Wilson score interval (Wilson 1927) of a rate seen on `n` independent rows; `n` need not be whole."""
    z = float(stats.norm.ppf((1 + confidence) / 2))
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    # Rounding must not put the rate itself outside.
    return Interval(min(rate, max(0.0, centre - half)), max(rate, min(1.0, centre + half)))


def fit_rates(
    log_parameters: np.ndarray, outcomes: np.ndarray, texts: np.ndarray, confidence: float, resamples: int, seed: int
) -> Line:
    """Rate against log10(parameters), with a percentile bootstrap of the slope over distinct texts.

    `outcomes` (rows, models) is 1 where the model recites the row, 0 where it does not, NaN where it has not
    been given it; `texts` (rows,) names each row's text. A text is resampled with all its rows and their
    outcomes under all models, which keeps their dependence. The slope is linear in the rates, so each
    resample's is the slope plus the mean of one contribution per text.
    """
    counts = np.isfinite(outcomes).sum(axis=0)
    rates = np.nansum(outcomes, axis=0) / counts
    centred = log_parameters - log_parameters.mean()
    spread = float((centred**2).sum())
    if spread == 0:
        raise ValueError("a line needs models of at least two sizes")
    slope = float((centred * rates).sum() / spread)
    by_row = (np.nan_to_num(outcomes - rates) / counts * centred).sum(axis=1) / spread
    _, places = np.unique(texts, return_inverse=True)
    by_text = np.bincount(places, weights=by_row)
    drawn = stats.bootstrap(
        (slope + len(by_text) * by_text,),
        np.mean,
        n_resamples=resamples,
        batch=100,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    intercept = float(rates.mean() - slope * log_parameters.mean())
    total = float(((rates - rates.mean()) ** 2).sum())
    residual = float(((rates - intercept - slope * log_parameters) ** 2).sum())
    r_squared = 1 - residual / total if np.ptp(rates) > 1e-12 else math.nan
    return Line(slope, float(drawn.low), float(drawn.high), intercept, r_squared)
