"""Where memorization leaves its floor: the count from which on the rate has risen, read off a curve that only rises."""

from typing import NamedTuple

import numpy as np

from recite.statistics.intervals import Interval, interval

NOT_REACHED = np.inf
"""Threshold of rates that do not rise so far."""


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
