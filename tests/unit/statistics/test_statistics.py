"""recite.statistics against closed forms, enumeration and simulation."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, kstest, norm

from recite.statistics.fits import line, r_squared
from recite.statistics.intervals import Stratum, around, effective_rows, interval, wilson
from recite.statistics.tests import adjusted, correlation, equal_slopes, permutation_p_value, sign_p_value


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 40), (40, 40), (3, 10), (17, 600), (299999, 300000)])
def test_wilson_closed_form(successes: int, n: int, confidence: float) -> None:
    """Prevents another interval, or one at another level, from passing for Wilson's."""
    z = norm.ppf((1 + confidence) / 2)
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    interval = wilson(p, n, confidence)
    known = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((known.low, known.high), abs=1e-12)
    assert interval.low == pytest.approx(centre - half, abs=1e-12)
    assert interval.high == pytest.approx(centre + half, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7, 30, 99, 100, 120, 1000])
def test_wilson_holds_the_rate(n: int) -> None:
    """Prevents an error bar of negative length, at which drawing fails."""
    for successes in {0, 1, n // 3, n - 1, n}:
        low, high = wilson(successes / n, n, 0.95)
        assert 0 <= low <= successes / n <= high <= 1


def stratum(outcomes: np.ndarray, units: np.ndarray, fraction: float = 0, others: int = 0) -> Stratum:
    """Rows of one domain, 0 or 1 each, counted by the unit that each belongs to."""
    names = sorted(set(units.tolist()))
    rows = [outcomes[units == name] for name in names]
    return Stratum(np.array([len(part) for part in rows]), np.array([part.sum() for part in rows]), fraction, others)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.96])
def test_effective_rows_of_distinct_documents(fraction: float) -> None:
    """Prevents rows from losing or gaining weight but by the share of all documents: n / (1 - f), up to n / (n - 1)."""
    outcomes = (np.random.default_rng(1).random(50) < 0.3).astype(float)
    found = effective_rows([stratum(outcomes, np.arange(50), fraction)])
    assert found == pytest.approx(50 / (1 - fraction) * 49 / 50)


@pytest.mark.parametrize("fraction", [0.0, 0.75])
@pytest.mark.parametrize("rate", [0, 1])
def test_effective_rows_of_a_rate_without_variance(rate: int, fraction: float) -> None:
    """Prevents 0 of 6 rows of two texts from counting as six observations: Kish gives 36 / (16 + 4)."""
    part = stratum(np.full(6, float(rate)), np.array([7, 7, 7, 7, 8, 8]), fraction)
    assert effective_rows([part]) == pytest.approx(36 / 20 / (1 - fraction))


def test_effective_rows_where_the_repeated_text_is_the_recited_one() -> None:
    """Prevents Kish's 10 from standing where one text of 5 copies is all that is recited of 20 rows.

    By hand: variance ((5 * 0.75)^2 + 15 * 0.25^2) / 20^2 = 0.0375 at a rate of 0.25, so 0.1875 / 0.0375 = 5; of 16
    texts, as the rate is their own, 15/16 of that.
    """
    outcomes, texts = np.array([1.0] * 5 + [0.0] * 15), np.array([99] * 5 + list(range(15)))
    assert effective_rows([stratum(outcomes, texts)]) == pytest.approx(5 * 15 / 16)
    assert effective_rows([stratum(outcomes, texts, others=2**40)]) == pytest.approx(5)


def test_effective_rows_of_copies_are_the_texts() -> None:
    """Prevents a text's copies from counting as evidence: five copies of each of 40 texts are 40 observations."""
    outcomes = (np.random.default_rng(2).random(40) < 0.4).astype(float)
    found = effective_rows([stratum(np.repeat(outcomes, 5), np.repeat(np.arange(40), 5))])
    assert found == pytest.approx(40 * 39 / 40)


def test_effective_rows_of_a_census() -> None:
    """Prevents an interval about what is known: all documents were asked, so the rate is the rate."""
    outcomes = np.array([1.0, 0, 0, 1, 0])
    found = effective_rows([stratum(outcomes, np.arange(5), 1.0), stratum(outcomes[:3], np.arange(3), 1.0)])
    assert found == math.inf
    assert wilson(0.375, found, 0.95) == (0.375, 0.375)
    half = effective_rows([stratum(outcomes, np.arange(5), 1.0), stratum(outcomes, np.arange(5), 0.5)])
    one = 0.5 * 5 * 0.4 * 0.6 * 5 / 4 / 10**2
    assert half == pytest.approx(0.4 * 0.6 / one)


def test_effective_rows_are_those_of_drawing_without_replacement() -> None:
    """Prevents another standard error than that of the design: two domains drawn by shares, of some rows a rate."""
    source = np.random.default_rng(7)
    shares, population = (0.5, 0.2), []
    for units, chance in ((200, 0.7), (300, 0.1)):
        sizes = source.choice([0, 1, 1, 3], units)  # units of 0 rows have none of the class that is asked about
        population.append((sizes, source.binomial(sizes, chance)))
    rates, errors = [], []
    for _ in range(3000):
        parts = []
        for share, (sizes, sums) in zip(shares, population, strict=True):
            drawn = source.permutation(len(sizes))[: round(share * len(sizes))]
            kept = drawn[sizes[drawn] > 0]
            parts.append(Stratum(sizes[kept], sums[kept], share, len(drawn) - len(kept)))
        rate = sum(part.sums.sum() for part in parts) / sum(part.sizes.sum() for part in parts)
        rates.append(rate)
        errors.append(rate * (1 - rate) / effective_rows(parts))
    assert np.mean(errors) == pytest.approx(np.var(rates), rel=0.08)


def test_interval_of_a_rate_covers_where_texts_recur() -> None:
    """Prevents intervals three times too narrow, as rows taken for independent give, on texts of 1 to 12 copies."""
    source = np.random.default_rng(4)
    covered = naive = 0
    for _ in range(400):
        sizes = source.choice([1, 1, 1, 2, 4, 12], 150)
        chances = np.where(sizes > 3, 0.5, 0.1)
        truth = (1 / 6 * (4 + 12) * 0.5 + (3 / 6 + 2 / 6) * 0.1) / (1 / 6 * (1 + 1 + 1 + 2 + 4 + 12))
        outcomes = np.repeat((source.random(150) < chances).astype(float), sizes)
        effective = effective_rows([stratum(outcomes, np.repeat(np.arange(150), sizes))])
        low, high = wilson(outcomes.mean(), effective, 0.95)
        covered += low <= truth <= high
        low, high = wilson(outcomes.mean(), len(outcomes), 0.95)
        naive += low <= truth <= high
    assert 0.9 <= covered / 400 <= 0.99
    assert naive / 400 < 0.75


def test_interval_leaves_out_what_is_not_defined() -> None:
    """Prevents NaN from a resample without a memorized row from swallowing the interval."""
    values = np.append(np.arange(101.0), [math.nan] * 40)
    assert interval(values, 0.9) == pytest.approx((5, 95))
    assert all(math.isnan(end) for end in interval(np.full(3, math.nan), 0.9))


def test_sign_p_value_by_hand() -> None:
    """Prevents a p-value of zero, one above 1, and one side for two."""
    assert sign_p_value(np.full(99, 2.0)) == pytest.approx(2 / 100)
    assert sign_p_value(np.array([-1.0] * 9 + [1.0] * 90)) == pytest.approx(2 * 10 / 100)
    assert sign_p_value(np.zeros(99)) == 1
    assert sign_p_value(np.array([-1.0, 1.0, math.nan])) == 1


def test_sign_p_value_of_few_texts() -> None:
    """One text, however often it is resampled, is on one side of 0; a hundred heads were called important by that."""
    replicates = np.full(999, 2.0)
    assert [sign_p_value(replicates, texts) for texts in (1, 2, 5)] == [1, 0.5, 1 / 16]
    assert sign_p_value(replicates, 40) == sign_p_value(replicates) == pytest.approx(2 / 1000)


def test_adjusted_by_hand() -> None:
    """Prevents another correction than Benjamini and Hochberg's: p x tests / rank, made monotone from the largest."""
    assert adjusted([0.01, 0.04, 0.03, 0.5]).tolist() == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert len(adjusted([])) == 0


def test_permutation_p_value_by_hand() -> None:
    """Prevents a p-value of zero, and orders that are as good as the seen one from not counting."""
    assert permutation_p_value(np.array([0.9, 0.1, 0.9, -1.0, 0.2])) == pytest.approx(2 / 5)
    assert permutation_p_value(np.array([0.9, 0.1, math.nan, 0.3])) == pytest.approx(1 / 3)


def test_interval_around_what_was_seen() -> None:
    """Prevents an interval that leaves out what was seen where resamples are lower, and ends that are no shares."""
    resamples = np.array([0.3, 0.5, 0.4, 0.2])
    half = norm.ppf(0.95) * resamples.std(ddof=1)
    assert around(np.append(0.6, resamples), 0.9) == pytest.approx((0.6 - half, 0.6 + half))
    assert around(np.append(0.1, resamples), 0.9).low == 0
    assert around(np.append(0.99, resamples), 0.9).high == 1


@pytest.mark.parametrize("points", [2, 3, 7])
def test_line_is_the_least_squares_line(points: int) -> None:
    """Prevents a wrong slope, intercept or R squared; NumPy's polynomial fit is the reference."""
    source = np.random.default_rng(points)
    x, y = source.uniform(4, 7, points), source.random((5, points))
    found = line(x, y)
    slopes, intercepts = np.polyfit(x, y.T, 1)
    assert found.slope == pytest.approx(slopes)
    assert found.intercept == pytest.approx(intercepts)
    residual = ((y[0] - slopes[0] * x - intercepts[0]) ** 2).sum()
    assert r_squared(x, y[0]) == pytest.approx(1 - residual / ((y[0] - y[0].mean()) ** 2).sum())


def test_flat_line_has_no_r_squared() -> None:
    """Prevents rounding errors from being reported as an R squared where all rates are equal."""
    x = np.array([4.0, 5.0, 6.5])
    assert math.isnan(r_squared(x, np.full(3, 3 / 13)))
    assert line(x, np.full(3, 3 / 13)).slope == pytest.approx(0, abs=1e-15)


def test_models_of_one_size_have_no_slope() -> None:
    """Prevents a division by zero from becoming a slope."""
    with pytest.raises(ValueError, match="at least two sizes"):
        line(np.array([5.0, 5.0]), np.ones(2))


def test_equal_slopes_is_the_analysis_of_covariance() -> None:
    """Prevents another F: the residual sums of squares come from NumPy's least squares on the two design matrices."""
    source = np.random.default_rng(8)
    groups = ["a"] * 4 + ["b"] * 3 + ["c"] * 5
    x, y = source.uniform(4, 7, 12), source.random(12)
    intercepts = np.array([[group == name for name in "abc"] for group in groups], float)

    def residual(design: np.ndarray) -> float:
        return float(((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum())

    own, shared = residual(np.hstack([intercepts, intercepts * x[:, None]])), residual(np.column_stack([intercepts, x]))
    test = equal_slopes(x, y, groups)
    assert test is not None
    assert (test.df_between, test.df_residual) == (2, 6)
    assert test.f == pytest.approx(((shared - own) / 2) / (own / 6))


def test_equal_slopes_rejects_at_its_level() -> None:
    """Prevents p-values that are not uniform where all groups share a slope, and blindness where they do not."""
    source = np.random.default_rng(9)
    x, groups = np.tile([4.0, 5.0, 6.0, 7.0], 5), list(np.repeat(list("abcde"), 4))
    noise = source.normal(0, 0.05, (1000, 20))
    p_values = [test.p_value for y in 0.1 * x + noise if (test := equal_slopes(x, y, groups))]
    assert kstest(p_values, "uniform").pvalue > 0.01
    steeper = equal_slopes(x, np.where(np.array(groups) == "a", 0.4, 0.1) * x + noise[0], groups)
    assert steeper is not None and steeper.p_value < 0.001


@pytest.mark.parametrize(
    ("x", "groups"),
    [([4, 5, 4, 5], "aabb"), ([4, 5, 6], "aaa"), ([4, 5, 6, 5, 5], "aaabb")],
    ids=["no scatter to judge by", "one family", "one family of one size"],
)
def test_equal_slopes_where_there_is_nothing_to_test(x: list[float], groups: str) -> None:
    """Prevents a test with no degree of freedom from giving a number."""
    assert equal_slopes(np.array(x, float), np.arange(len(x)) ** 2.0, list(groups)) is None


def test_equal_slopes_of_lines_without_scatter() -> None:
    """Prevents an infinite F where every rate is zero, or every point lies on its family's line."""
    x, groups = np.array([4.0, 5, 6, 4, 5, 6]), list("aaabbb")
    assert equal_slopes(x, np.zeros(6), groups) is None
    assert equal_slopes(x, np.array([1.0, 2, 3, 2, 4, 6]), groups) is None


def test_correlation() -> None:
    """Prevents a correlation of what only rounding moves, and the loss of one between small probabilities."""
    source = np.random.default_rng(4)
    first, second = source.normal(size=(2, 3, 7))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(first, second, strict=True)]
    assert correlation(first, second) == pytest.approx(expected)
    assert correlation(1e-9 * first, 1e-9 * second) == pytest.approx(expected)
    flat = np.array([0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2, 0.3, 0.3, 0.3])
    assert np.ptp(flat) > 0
    assert np.isnan(correlation(first, flat)).all() and np.isnan(correlation(np.zeros(7), second)).all()
