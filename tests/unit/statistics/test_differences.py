"""recite.statistics.differences: published examples, exact coverage, and the case that has a closed form."""

import numpy as np
import pytest
from scipy import stats

from recite.statistics.differences import Estimates, mover
from recite.statistics.intervals import wilson


def rates(counts: list[int], rows: int) -> Estimates:
    """Rates with their Wilson intervals."""
    ends = [wilson(count / rows, rows, 0.95) for count in counts]
    return Estimates(np.array(counts) / rows, np.array([end.low for end in ends]), np.array([end.high for end in ends]))


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_newcombe(a: tuple[int, int], b: tuple[int, int], low: float, high: float) -> None:
    """Newcombe 1998 (Statistics in Medicine 17, 873), table II, method 10."""
    found = mover(rates([a[0]], a[1]), rates([b[0]], b[1]))
    assert (found.low[0], found.high[0]) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))
    back = mover(rates([b[0]], b[1]), rates([a[0]], a[1]))
    assert (back.low[0], back.high[0]) == (pytest.approx(-found.high[0]), pytest.approx(-found.low[0]))


@pytest.mark.parametrize(("p", "q"), [(0.3, 0.3), (0.5, 0.2), (0.05, 0.05), (0.97, 0.9)])
def test_coverage_of_rates(p: float, q: float) -> None:
    """Over all outcomes with their chances: about 95% of intervals hold the true difference."""
    n, m = 70, 80
    a, b = (rates(list(range(rows + 1)), rows) for rows in (n, m))
    grid = [
        [np.broadcast_to(v, (n + 1, m + 1)) for v in side] for side in ([v[:, None] for v in a], [v[None] for v in b])
    ]
    found = mover(Estimates(*grid[0]), Estimates(*grid[1]))
    chance = stats.binom.pmf(np.arange(n + 1), n, p)[:, None] * stats.binom.pmf(np.arange(m + 1), m, q)
    assert 0.94 <= chance[(found.low <= p - q) & (found.high >= p - q)].sum() <= 0.975


def test_normal_means() -> None:
    """Of symmetric intervals it is the usual one: half the root of the squares."""
    a, b = (
        Estimates(np.array([v]), np.array([v - half]), np.array([v + half])) for v, half in ((1.0, 0.3), (0.2, 0.4))
    )
    found = mover(a, b)
    assert [end[0] for end in found] == pytest.approx([0.8, 0.3, 1.3])
