"""Intervals and fits. The estimators are scipy's; this module says which one is used for what."""

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


def wilson(successes: int, n: int, confidence: float) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927); n must be positive."""
    interval = stats.binomtest(int(successes), int(n)).proportion_ci(confidence, method="wilson")
    return Interval(float(interval.low), float(interval.high))


def fit_rates(
    log_parameters: np.ndarray, outcomes: np.ndarray, counts: np.ndarray, confidence: float, resamples: int, seed: int
) -> Line:
    """Rate against log10(parameters), with a percentile bootstrap of the slope over documents.

    `outcomes` (documents, models) is 1 where the model recites the document, 0 where it does not, NaN
    where it has not been given it; `counts` (models,) is the documents that each model was given. A document is
    resampled with its outcomes under all models, which keeps their dependence. The slope is linear in
    the rates, so it is the mean of one contribution per document.
    """
    rates = np.nansum(outcomes, axis=0) / counts
    centred = log_parameters - log_parameters.mean()
    spread = float((centred**2).sum())
    if spread == 0:
        raise ValueError("a line needs models of at least two sizes")
    slope = float(centred @ rates / spread)
    contributions = slope + np.nan_to_num((outcomes - rates) * (len(outcomes) / counts)) @ centred / spread
    drawn = stats.bootstrap(
        (contributions,),
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
    r_squared = 1 - residual / total if np.ptp(rates) > 1e-12 else 1.0
    return Line(slope, float(drawn.low), float(drawn.high), intercept, r_squared)
