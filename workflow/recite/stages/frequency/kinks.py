"""A threshold of frequency, or smooth growth? Two curves of the rate over log2 of the count, held against each other.

Smooth: the logit of the rate is a line. Kinked: it is a floor up to a count of 2 or more, and a line from there on.
Both are fitted by maximum likelihood to the same bins, as seen and under resamples (Vuong 1989, with resamples for its
normal approximation); the kink's place is one more parameter, which costs one nat (Akaike 1974).
"""

import numpy as np
from scipy.special import expit

from recite.stages.frequency.thresholds import Curve

FIRST = 1.0
"""log2 of the least count at which a kink is one: what occurs once is no threshold."""
STEP = 0.5
"""Octaves between the places that are tried."""
ITERATIONS = 40
RIDGE = 1e-6
PARAMETER = 1.0
"""Log-likelihood that one more parameter costs."""


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
