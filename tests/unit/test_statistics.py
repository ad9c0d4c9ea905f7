"""recite.statistics against closed forms, enumeration and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from recite.statistics import effective_rows, fit_rates, wilson


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


def complete(seed: int, documents: int, models: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log10 parameters, outcomes and texts where every model was given every document, and all texts differ."""
    source = np.random.default_rng(seed)
    x = np.sort(source.uniform(4, 7, models))
    outcomes = (source.random((documents, models)) < np.linspace(0.2, 0.7, models)).astype(float)
    return x, outcomes, np.arange(documents)


@pytest.mark.parametrize(("documents", "models"), [(2, 2), (30, 3), (200, 5)])
def test_line_is_the_least_squares_line(documents: int, models: int) -> None:
    """Prevents a wrong slope, intercept or R squared; NumPy's polynomial fit is the reference."""
    x, outcomes, texts = complete(documents, documents, models)
    line = fit_rates(x, outcomes, texts, 0.95, 100, seed=1)
    rates = outcomes.mean(axis=0)
    slope, intercept = np.polyfit(x, rates, 1)
    assert line.slope == pytest.approx(slope)
    assert line.intercept == pytest.approx(intercept)
    residual = ((rates - slope * x - intercept) ** 2).sum()
    if rates.var() > 0:
        assert line.r_squared == pytest.approx(1 - residual / ((rates - rates.mean()) ** 2).sum())


def test_line_through_rates_of_unequal_counts() -> None:
    """Prevents a document that a model was not given from counting as one that it does not recite."""
    x = np.array([4.0, 5.0, 7.0])
    none = math.nan
    outcomes = np.array([[1, 1, 1], [0, 0, 1], [none, 1, 0], [none, 0, none]])
    line = fit_rates(x, outcomes, np.arange(4), 0.95, 100, seed=1)
    slope, intercept = np.polyfit(x, [1 / 2, 2 / 4, 2 / 3], 1)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept))


def test_slope_of_two_models_is_the_difference_per_decade() -> None:
    """Prevents natural logarithms, or a slope per parameter, from being reported per decade."""
    outcomes = np.array([[0, 1], [0, 1], [1, 1], [0, 0]], float)
    line = fit_rates(np.log10([1e5, 1e7]), outcomes, np.arange(4), 0.95, 100, seed=1)
    assert line.slope == pytest.approx((0.75 - 0.25) / 2)
    assert line.r_squared == pytest.approx(1)


@pytest.mark.parametrize("models", [2, 3, 6])
@pytest.mark.parametrize(("recited", "documents"), [(0, 10), (1, 10), (3, 13), (7, 7)])
def test_equal_rates_give_a_flat_line(models: int, recited: int, documents: int) -> None:
    """Prevents rounding errors from being reported as an R squared where all rates are equal and it is not defined."""
    outcomes = np.zeros((documents, models))
    outcomes[:recited] = 1
    line = fit_rates(np.log10(np.geomspace(1e5, 3e6, models)), outcomes, np.arange(documents), 0.95, 100, seed=1)
    assert (line.slope, line.slope_low, line.slope_high) == pytest.approx((0, 0, 0), abs=1e-12)
    assert line.intercept == pytest.approx(recited / documents)
    assert math.isnan(line.r_squared)


def test_models_of_one_size_have_no_slope() -> None:
    """Prevents a division by zero from becoming a slope."""
    with pytest.raises(ValueError, match="at least two sizes"):
        fit_rates(np.array([5.0, 5.0]), np.ones((3, 2)), np.arange(3), 0.95, 100, seed=1)


def test_interval_is_that_of_all_resamples() -> None:
    """Prevents an interval of another quantity: all 6^6 resamples are enumerated, each with its own fit."""
    x = np.array([0.0, 1.0, 3.0])
    outcomes = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    weights = np.array([np.bincount(drawn, minlength=6) for drawn in itertools.product(range(6), repeat=6)])
    slopes = np.polyfit(x, (weights @ outcomes / 6).T, 1)[0]
    line = fit_rates(x, outcomes, np.arange(6), 0.9, 8000, seed=3)
    for found, level in ((line.slope_low, 0.05), (line.slope_high, 0.95)):
        low, high = np.quantile(slopes, [level - 0.012, level + 0.012])
        assert low - 1e-9 <= found <= high + 1e-9


@pytest.mark.parametrize("copies", [[1], [1, 1, 1, 2, 4, 12]])
def test_interval_covers_the_true_slope(copies: list[int]) -> None:
    """Prevents an interval that is too narrow or too wide; documents differ, so outcomes of models depend on them."""
    x = np.array([4.0, 4.5, 5.0, 6.0])
    chances = np.array([0.1, 0.2, 0.3, 0.55])
    truth = np.polyfit(x, chances, 1)[0]
    source = np.random.default_rng(5)
    covered = 0
    for study in range(200):
        outcomes = (source.random((200, 1)) < chances).astype(float)  # one threshold a document
        flips = source.random(outcomes.shape) < 0.3
        outcomes = np.where(flips, source.random(outcomes.shape) < chances, outcomes)
        texts = np.repeat(np.arange(200), source.choice(copies, 200))
        line = fit_rates(x, outcomes[texts], texts, 0.95, 300, seed=study)
        covered += line.slope_low <= truth <= line.slope_high
    assert 0.88 <= covered / 200 <= 0.99


def test_interval_follows_seed_level_and_size() -> None:
    """Prevents another interval on every run, a level that is ignored, and one that does not shrink with data."""
    x, outcomes, texts = complete(1, 100, 3)
    line = fit_rates(x, outcomes, texts, 0.95, 500, seed=1)
    assert fit_rates(x, outcomes, texts, 0.95, 500, seed=1) == line
    assert fit_rates(x, outcomes, texts, 0.95, 500, seed=2) != line
    wide, narrow = line.slope_high - line.slope_low, fit_rates(x, outcomes, texts, 0.5, 500, seed=1)
    assert narrow.slope_high - narrow.slope_low < wide
    more = fit_rates(x, np.tile(outcomes, (16, 1)), np.arange(1600), 0.95, 500, seed=1)
    assert more.slope_high - more.slope_low == pytest.approx(wide / 4, rel=0.25)
    copies = fit_rates(x, np.tile(outcomes, (16, 1)), np.tile(texts, 16), 0.95, 500, seed=1)
    assert copies.slope_high - copies.slope_low == pytest.approx(wide, rel=1e-9)
