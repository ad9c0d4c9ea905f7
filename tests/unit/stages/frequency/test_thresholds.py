"""recite.stages.frequency.thresholds against scipy's isotonic regression, closed forms and planted thresholds."""

import numpy as np
import pytest
from scipy.optimize import isotonic_regression

from recite.stages.frequency.thresholds import Curve, rising, threshold, threshold_interval
from recite.statistics.intervals import Interval


def curve(rates: list[float], n: list[int] | None = None, place: list[float] | None = None) -> Curve:
    rows = np.array(n or [100] * len(rates), float)
    places = np.arange(len(rates), dtype=float) if place is None else np.array(place)
    return Curve(places, rows[None], (rows * rates)[None])


def test_rising_equals_scipy() -> None:
    """Prevents a curve that is not the least-squares one: 300 random ones of up to 12 bins at once."""
    source = np.random.default_rng(1)
    for bins in range(1, 13):
        n = source.integers(1, 50, (25, bins)).astype(float)
        memorized = source.binomial(n.astype(int), source.random((25, bins))).astype(float)
        expected = [isotonic_regression(m / k, weights=k).x for m, k in zip(memorized, n, strict=True)]
        assert rising(Curve(np.arange(bins, dtype=float), n, memorized)) == pytest.approx(np.array(expected))


def test_bins_without_rows() -> None:
    """Prevents an empty bin from moving the others: without it the curve is scipy's of what is left."""
    fitted = rising(curve([0.0, 0.5, 0.9, 0.4], [10, 20, 0, 30]))[0]
    assert fitted[[0, 1, 3]] == pytest.approx([0, 0.44, 0.44])
    assert fitted[2] == pytest.approx(0.44)  # what the bins beside it have
    assert np.isnan(rising(curve([0, 0], [0, 0]))).all()


@pytest.mark.parametrize(
    ("rates", "rise", "expected"),
    [
        ([0.1, 0.1, 0.5], 0.1, 1.25),  # a quarter of the way from bin 1 to bin 2
        ([0.1, 0.2, 0.5], 0.1, 1.0),  # just there
        ([0.0, 0.25], 0.25, 1.0),  # at the last bin of all
        ([0.3, 0.1, 0.2, 0.8], 0.3, 2.5),  # the floor is the mean of the three
        ([0.5, 0.55, 0.59], 0.1, np.inf),
        ([0.9, 0.5, 0.1], 0.1, np.inf),
        ([0.7], 0.1, np.inf),
    ],
)
def test_threshold_by_hand(rates: list[float], rise: float, expected: float) -> None:
    """Prevents a threshold at another place of the curve, and one where the rate does not rise."""
    assert threshold(curve(rates), rise).tolist() == pytest.approx([expected])


def test_places_are_the_bins() -> None:
    """Prevents bins from being taken as evenly spaced."""
    assert threshold(curve([0, 0, 0.4], place=[-1, 0.5, 4.5]), 0.1).tolist() == pytest.approx([1.5])


def test_interval_with_open_ends() -> None:
    """Prevents thresholds that some resamples do not reach from being given a finite end, or no end at all."""
    found = np.array([1.0] * 50 + [2.0] * 45 + [np.inf] * 5)
    assert threshold_interval(found, 0.95) == Interval(1, np.inf)
    assert threshold_interval(found, 0.8) == Interval(1, 2)
    assert threshold_interval(np.array([np.inf, np.inf]), 0.95) == Interval(np.inf, np.inf)
    assert threshold_interval(np.array([np.nan, 1, 1, -np.inf]), 0.95) == Interval(-np.inf, 1)
    assert np.isnan(threshold_interval(np.array([np.nan]), 0.95)).all()


def test_interval_covers_a_planted_threshold() -> None:
    """Prevents an interval that is wrong: 95% of it covers the true crossing in 90% to 99% of 400 studies."""
    source = np.random.default_rng(3)
    place, rates = np.arange(9, dtype=float), np.array([0.1, 0.1, 0.1, 0.16, 0.3, 0.5, 0.7, 0.8, 0.9])
    (truth,) = threshold(curve(rates.tolist()), 0.1)
    assert truth == pytest.approx(3 + 0.04 / 0.14)
    n, covered = np.full(9, 400), 0
    for _ in range(400):
        seen = source.binomial(n, rates)
        again = source.binomial(n, seen / n, (400, 9))
        low, high = threshold_interval(threshold(Curve(place, np.broadcast_to(n, (400, 9)), again), 0.1), 0.95)
        covered += low <= truth <= high
    assert 0.90 <= covered / 400 <= 0.99
