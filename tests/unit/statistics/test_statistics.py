"""recite.statistics against closed forms, enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, chisquare, kstest, norm

from recite.statistics.fits import line, r_squared
from recite.statistics.intervals import clusters, effective_clusters, effective_rows, interval, resampled, wilson
from recite.statistics.tests import adjusted, correlation, equal_rates_p_value, equal_slopes, sign_p_value


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


def test_effective_rows_of_distinct_texts_are_the_rows() -> None:
    """Prevents independent rows from losing or gaining weight."""
    outcomes = (np.random.default_rng(1).random(50) < 0.3).astype(float)
    assert effective_rows(outcomes, np.arange(50)) == pytest.approx(50)


@pytest.mark.parametrize("rate", [0, 1])
def test_effective_rows_of_a_rate_without_variance(rate: int) -> None:
    """Prevents 0 of 6 rows of two texts from counting as six observations: Kish gives 36 / (16 + 4)."""
    assert effective_rows(np.full(6, float(rate)), np.array([7, 7, 7, 7, 8, 8])) == pytest.approx(36 / 20)


def test_effective_rows_where_the_repeated_text_is_the_recited_one() -> None:
    """Prevents Kish's 10 from standing where one text of 5 copies is all that is recited of 20 rows.

    By hand: variance ((5 * 0.75)^2 + 15 * 0.25^2) / 20^2 = 0.0375 at a rate of 0.25, so 0.1875 / 0.0375 = 5.
    """
    outcomes, texts = np.array([1.0] * 5 + [0.0] * 15), np.array([99] * 5 + list(range(15)))
    assert effective_rows(outcomes, texts) == pytest.approx(5)


def test_effective_rows_of_copies_are_the_texts() -> None:
    """Prevents a text's copies from counting as evidence: five copies of each of 40 texts are 40 observations."""
    outcomes = (np.random.default_rng(2).random(40) < 0.4).astype(float)
    assert effective_rows(np.repeat(outcomes, 5), np.repeat(np.arange(40), 5)) == pytest.approx(40)


def test_interval_of_a_rate_covers_where_texts_recur() -> None:
    """Prevents intervals three times too narrow, as rows taken for independent give, on texts of 1 to 12 copies."""
    source = np.random.default_rng(4)
    covered = naive = 0
    for _ in range(400):
        sizes = source.choice([1, 1, 1, 2, 4, 12], 150)
        chances = np.where(sizes > 3, 0.5, 0.1)
        truth = (1 / 6 * (4 + 12) * 0.5 + (3 / 6 + 2 / 6) * 0.1) / (1 / 6 * (1 + 1 + 1 + 2 + 4 + 12))
        outcomes = np.repeat((source.random(150) < chances).astype(float), sizes)
        low, high = wilson(outcomes.mean(), effective_rows(outcomes, np.repeat(np.arange(150), sizes)), 0.95)
        covered += low <= truth <= high
        low, high = wilson(outcomes.mean(), len(outcomes), 0.95)
        naive += low <= truth <= high
    assert 0.9 <= covered / 400 <= 0.99
    assert naive / 400 < 0.75


def test_clusters_count_by_text() -> None:
    """Prevents a text's rows from being counted under another, and an order of rows from mattering."""
    texts, outcomes = np.array([9, 3, 9, 5, 9]), np.array([True, False, True, True, False])
    found = clusters(outcomes, texts)
    assert (found.sizes.tolist(), found.sums.tolist()) == ([1, 1, 3], [0, 1, 2])
    assert effective_clusters(found) == effective_rows(outcomes[::-1], texts[::-1])


def test_resampled_sums_are_those_of_all_resamples() -> None:
    """Prevents another distribution: all 5^5 resamples of five texts are enumerated."""
    sums = np.array([[1, 0], [1, 1], [1, 0], [2, 1], [1, 0]])
    drawn = resampled(sums, 200_000, np.random.default_rng(1))
    truth = np.array([sums[list(chosen)].sum(axis=0) for chosen in itertools.product(range(5), repeat=5)])
    kinds = np.unique(truth, axis=0)
    expected = np.array([(truth == kind).all(axis=1).mean() for kind in kinds]) * len(drawn)
    seen = np.array([(drawn == kind).all(axis=1).sum() for kind in kinds])
    assert seen.sum() == len(drawn)
    assert chisquare(seen, expected).pvalue > 0.001


def test_resampled_is_the_bootstrap_of_scipy() -> None:
    """Prevents a spread other than that of drawing texts one by one."""
    source = np.random.default_rng(3)
    sums = np.column_stack([source.integers(1, 5, 300), source.integers(0, 2, 300)])
    drawn = resampled(sums, 20_000, source)
    reference = bootstrap(
        (sums[:, 0], sums[:, 1]),
        lambda n, m, axis: m.sum(axis=axis) / n.sum(axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=source,
    )
    ends = interval(drawn[:, 1] / drawn[:, 0], 0.95)
    assert ends == pytest.approx(tuple(reference.confidence_interval), rel=0.03)


def test_resampled_ignores_order_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents the order of texts, or how many resamples are drawn at once, from changing a result."""
    sums = np.random.default_rng(5).integers(0, 3, (200, 4))
    once = resampled(sums, 50, np.random.default_rng(1))
    assert (resampled(sums[::-1], 50, np.random.default_rng(1)) == once).all()
    monkeypatch.setattr("recite.statistics.intervals.DRAWS_AT_ONCE", 100)
    assert (resampled(sums, 50, np.random.default_rng(1)) == once).all()


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


def test_adjusted_by_hand() -> None:
    """Prevents another correction than Benjamini and Hochberg's: p x tests / rank, made monotone from the largest."""
    assert adjusted([0.01, 0.04, 0.03, 0.5]).tolist() == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert len(adjusted([])) == 0


def test_equal_rates_p_values_are_uniform_where_rates_are_equal() -> None:
    """Prevents a test that finds differences between two samples of one population, whose texts recur."""
    source = np.random.default_rng(6)
    p_values = []
    for _ in range(1000):
        halves = []
        for _ in range(2):
            sizes = source.choice([1, 1, 2, 4], 300)
            halves.append(clusters(np.repeat(source.random(300) < 0.3, sizes), np.repeat(np.arange(300), sizes)))
        p_values.append(equal_rates_p_value(*halves))
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_equal_rates_p_value_sees_a_difference() -> None:
    """Prevents a test without power, and a division by zero where nothing is memorized."""
    none, some = (clusters(np.arange(400) < count, np.arange(400)) for count in (0, 40))
    assert equal_rates_p_value(none, some) < 1e-6
    assert equal_rates_p_value(none, none) == 1


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
