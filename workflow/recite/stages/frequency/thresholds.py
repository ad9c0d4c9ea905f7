"""Where memorization leaves its floor, and whether it has one that it leaves.

Where: the count from which on the rate has risen, read off a curve that only rises. Whether: two curves of the rate
over log2 of the count are held against each other. Smooth: the logit of the rate is a line. Kinked: it is a floor up to
a count of 2 or more, and a line from there on. Both are fitted by maximum likelihood to the same bins, as seen and
under resamples (Vuong 1989, with resamples for its normal approximation); the kink's place is one more parameter, which
costs one nat (Akaike 1974).
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from recite.statistics.intervals import Interval, interval

NOT_REACHED = np.inf
"""Threshold of rates that do not rise so far."""

FIRST = 1.0
"""log2 of the least count at which a kink is one: what occurs once is no threshold."""
STEP = 0.5
"""Octaves between the places that are tried."""
ITERATIONS = 40
RIDGE = 1e-6
PARAMETER = 1.0
"""Log-likelihood that one more parameter costs."""


class Curve(NamedTuple):
    """Rates by bin, of what was seen and of resamples of it.

    place: (bins,) base-2 logarithm of the count that stands for each bin, ascending. n, memorized: (..., bins) rows.
    """

    place: np.ndarray
    n: np.ndarray
    memorized: np.ndarray


def rising(curve: Curve) -> np.ndarray:
    """Isotonic regression of the rates, weighted by rows: (..., bins), the least-squares curve that never falls.

    By the max-min formula (Barlow et al. 1972), which does all resamples at once: the greatest, over the bins up to
    this one, of the least mean rate of the bins from there to any bin from this one on. A bin without rows takes part
    in the means of the others only; NaN without a row.
    """
    bins = curve.n.shape[-1]
    n, memorized = (np.concatenate([np.zeros((*sums.shape[:-1], 1)), sums.cumsum(-1)], -1) for sums in curve[1:])
    fitted = np.full(curve.n.shape, -np.inf)
    for first in range(bins):
        rows = n[..., first + 1 :] - n[..., first, None]
        with np.errstate(invalid="ignore"):
            means = np.where(rows > 0, (memorized[..., first + 1 :] - memorized[..., first, None]) / rows, np.inf)
        least = np.minimum.accumulate(means[..., ::-1], -1)[..., ::-1]
        fitted[..., first:] = np.maximum(fitted[..., first:], np.where(np.isinf(least), -np.inf, least))
    return np.where(np.isinf(fitted), np.nan, fitted)


def threshold(curve: Curve, rise: float) -> np.ndarray:
    """The count, base-2 logarithm, at which the rising curve is `rise` above where it begins: (...).

    Between bins the curve is straight. NOT_REACHED where it does not rise so far.
    """
    fitted = rising(curve)
    level = fitted[..., :1] + rise
    reached = fitted >= level
    after = reached.argmax(-1)[..., None]
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(fitted, index, -1)[..., 0] for index in (before, after))
    left, right = (curve.place[index[..., 0]] for index in (before, after))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = left + (level[..., 0] - low) / (high - low) * (right - left)
    return np.where(reached.any(-1), found, NOT_REACHED)


def threshold_interval(found: np.ndarray, confidence: float) -> Interval:
    """Percentile interval of thresholds, or of their differences, under resamples; its ends may be infinite.

    An end is a value that was drawn, not one between two. NaN, the difference of two that are not reached, is left out.
    """
    if np.isfinite(found).all():
        return interval(found, confidence)
    defined = found[~np.isnan(found)]
    if not len(defined):
        return Interval(np.nan, np.nan)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = np.quantile(defined, tails, method="inverted_cdf")
    return Interval(float(low), float(high))


def kink_gain(curve: Curve) -> np.ndarray:
    """Log-likelihood of the kinked over the smooth curve, nats for each memorized row that was seen: (...,).

    NaN where nothing is memorized, or where no bin lies beyond a count of 2.
    """
    places = np.arange(FIRST, curve.place[-1], STEP)
    rows = float(curve.memorized[0].sum())
    if not rows or not len(places):
        return np.full(len(curve.n), np.nan)
    smooth = log_likelihood(curve, curve.place)
    kinked = np.max([log_likelihood(curve, np.maximum(0, curve.place - place)) for place in places], axis=0)
    return np.asarray((kinked - PARAMETER - smooth) / rows)


def log_likelihood(curve: Curve, x: np.ndarray) -> np.ndarray:
    """The greatest log-likelihood of memorized rows with logit a + b x by bin, `x` (bins,): (...,).

    By Newton's method, with a trace of a penalty on both so that a bin that is recited whole has an end. A step that
    makes it less likely is not taken but shortened: where counts part what is recited from what is not, whole steps
    swing further and further.
    """
    n, k = curve.n, np.minimum(curve.memorized, curve.n)

    def likelihood(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        logit = a[:, None] + b[:, None] * x
        return np.asarray((k * logit - n * np.logaddexp(0, logit)).sum(axis=-1))

    rate = np.clip(k.sum(axis=-1) / n.sum(axis=-1), 1e-6, 1 - 1e-6)
    a, b, reach = np.log(rate / (1 - rate)), np.zeros(len(n)), np.ones(len(n))
    best = likelihood(a, b) - RIDGE / 2 * a**2
    for _ in range(ITERATIONS):
        p = expit(a[:, None] + b[:, None] * x)
        residual, weight = k - n * p, n * p * (1 - p)
        gradient_a, gradient_b = residual.sum(axis=-1) - RIDGE * a, residual @ x - RIDGE * b
        aa, ab, bb = weight.sum(axis=-1) + RIDGE, weight @ x, weight @ x**2 + RIDGE
        determinant = aa * bb - ab**2
        to_a = a + reach * (bb * gradient_a - ab * gradient_b) / determinant
        to_b = b + reach * (aa * gradient_b - ab * gradient_a) / determinant
        there = likelihood(to_a, to_b) - RIDGE / 2 * (to_a**2 + to_b**2)
        better = there >= best
        a, b, best = np.where(better, to_a, a), np.where(better, to_b, b), np.where(better, there, best)
        reach = np.where(better, np.minimum(1, 2 * reach), reach / 4)
    return likelihood(a, b)
