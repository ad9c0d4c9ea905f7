"""Kinks in recite.stages.frequency.thresholds against scipy's maximum likelihood, by hand, and curves with and without a kink."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from recite.stages.frequency.thresholds import PARAMETER, Curve, kink_gain, log_likelihood

PLACES = np.arange(-1.0, 9.0)


def curve(rates: np.ndarray, n: float = 2000.0) -> Curve:
    rows = np.full(rates.shape, n)
    return Curve(PLACES, np.atleast_2d(rows), np.atleast_2d(rows * rates))


def test_likelihood_equals_scipy() -> None:
    """Prevents a fit that stops short of the maximum: ten random curves, some of them recited nowhere or whole."""
    source = np.random.default_rng(1)
    n = source.integers(1, 300, (10, len(PLACES))).astype(float)
    k = source.binomial(n.astype(int), source.random((10, len(PLACES)))).astype(float)
    k[0], k[1, :5] = np.where(np.arange(len(PLACES)) > 6, n[0], 0), 0
    found = log_likelihood(Curve(PLACES, n, k), PLACES)

    def loss(at: np.ndarray, rows: np.ndarray, memorized: np.ndarray) -> float:
        logit = at[0] + at[1] * PLACES
        return -float((memorized * logit - rows * np.logaddexp(0, logit)).sum())

    for value, rows, memorized in list(zip(found, n, k, strict=True))[1:]:
        assert value == pytest.approx(-minimize(loss, [0.0, 0.0], (rows, memorized)).fun, rel=1e-6)
    assert -0.1 < found[0] <= 0  # parted by the count: it comes as near to 0 as one likes


def test_a_line_of_one_rate_by_hand() -> None:
    """Prevents a likelihood of other rows: where all bins have one rate it is the entropy, whatever x."""
    rates = np.full(len(PLACES), 0.25)
    entropy = 0.25 * np.log(0.25) + 0.75 * np.log(0.75)
    assert log_likelihood(curve(rates), PLACES) == pytest.approx([len(PLACES) * 2000 * entropy])
    # no kink does better; its place costs one nat of the 5000 memorized rows
    assert kink_gain(curve(rates)) == pytest.approx([-PARAMETER / 5000])


def test_kinks_are_told_from_smooth_growth() -> None:
    """Prevents growth without a floor from passing for a threshold, and a threshold from being missed."""
    smooth = expit(-3 + 0.5 * PLACES)
    kinked = expit(-3 + 1.0 * np.maximum(0, PLACES - 4))
    assert kink_gain(curve(smooth))[0] < 0
    assert kink_gain(curve(kinked))[0] > 0.02
    both = kink_gain(curve(np.stack([kinked, smooth])))
    assert both[0] > 0.02 and both[1] < 0


def test_nothing_to_tell() -> None:
    """Prevents a number where nothing is memorized, or where no bin lies beyond a count of 2."""
    assert np.isnan(kink_gain(curve(np.zeros(len(PLACES))))).all()
    few = Curve(PLACES[:2], np.full((1, 2), 9.0), np.full((1, 2), 3.0))
    assert np.isnan(kink_gain(few)).all()
