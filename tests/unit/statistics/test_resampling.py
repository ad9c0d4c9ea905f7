"""recite.statistics.resampling against the Poisson distribution, closed forms, scipy's bootstrap and planted truths."""

import numpy as np
import pytest
from scipy.stats import bootstrap, chisquare, poisson

from recite.statistics.intervals import interval
from recite.statistics.resampling import BAGS, Sampled, bag_of, bag_weights, correlation_of_rates
from recite.statistics.tests import correlation


def sampled(units: int, fraction: float = 0.0, key: int = 1, resamples: int = 2000) -> Sampled:
    """A sample of so many units, each in a bag of its own."""
    bags = np.random.default_rng(0).permutation(BAGS)[:units]
    return Sampled(bags, key, fraction, resamples, np.bincount(bags, minlength=BAGS))


def test_weights_are_poisson_numbers() -> None:
    """Prevents another distribution, and resamples that go together."""
    weights = bag_weights(3, 500)
    assert weights.shape == (500, BAGS)
    counts = np.bincount(np.minimum(weights.ravel(), 5))
    expected = np.append(poisson.pmf(np.arange(5), 1), poisson.sf(4, 1)) * weights.size
    assert chisquare(counts, expected).pvalue > 0.001
    assert weights.sum(axis=0).std() == pytest.approx(500**0.5, rel=0.05)
    assert weights.sum(axis=1).std() == pytest.approx(BAGS**0.5, rel=0.1)


def test_weights_follow_from_key_and_bag_alone() -> None:
    """Prevents resamples that depend on which rows a model has, and domains that are resampled alike."""
    names = np.random.default_rng(1).integers(0, 2**64, 300, dtype=np.uint64)
    bags = bag_of(names)
    assert (bags == [int(name) % BAGS for name in names.tolist()]).all()
    whole, part = (Sampled(chosen, 9, 0.0, 50, None).weights() for chosen in (bags, bags[40:70]))
    assert (whole[:, 40:70] == part).all()
    assert not (Sampled(bags, 10, 0.0, 50, None).weights() == whole).all()


@pytest.mark.parametrize("units", [1, 2, 5, 400])
def test_every_resample_has_as_many_units(units: int) -> None:
    """Prevents the number of rows of a domain, which is given, from adding to the error; a lone unit has none."""
    found = sampled(units)
    np.testing.assert_allclose(found.weights().sum(axis=1), units)
    if units == 1:
        assert (found.weights() == 1).all()
    bags = np.array([4, 9, 11])
    counts = np.zeros(BAGS, int)
    counts[bags] = 3, 1, 2
    weights = Sampled(bags, 1, 0.0, 500, counts).weights()
    np.testing.assert_allclose(weights @ counts[bags], 6)


@pytest.mark.parametrize("fraction", [0.0, 0.36, 1.0])
def test_totals_in_closed_form(fraction: float) -> None:
    """Prevents a sampled share that is left out, or taken twice: T + sqrt(1 - f) (sum of w x - T)."""
    sums = np.random.default_rng(2).normal(size=(30, 3))
    found = sampled(30, fraction, resamples=40)
    totals, seen = found.totals(sums), sums.sum(axis=0)
    assert totals.shape == (41, 3)
    np.testing.assert_allclose(totals[0], seen)
    for drawn, weights in zip(totals[1:], found.weights(), strict=True):
        np.testing.assert_allclose(drawn, seen + (1 - fraction) ** 0.5 * (weights @ sums - seen))
    np.testing.assert_allclose(found.effective_weights() @ sums, totals)
    if fraction == 1:
        assert (totals == seen).all()


@pytest.mark.parametrize("fraction", [0.0, 0.75])
def test_error_of_a_total(fraction: float) -> None:
    """Prevents a standard error other than that of a total of n of N units, n (1 - f) times their variance."""
    sums = np.random.default_rng(3).gamma(2.0, size=(500, 1))
    drawn = sampled(500, fraction, resamples=20_000).totals(sums)[1:]
    assert drawn.std() == pytest.approx((500 * (1 - fraction) * sums.var()) ** 0.5, rel=0.03)


def test_it_is_the_bootstrap_of_scipy() -> None:
    """Prevents a spread other than that of drawing units one by one."""
    source = np.random.default_rng(3)
    sums = np.column_stack([source.integers(1, 5, 300), source.integers(0, 2, 300)])
    drawn = sampled(300, resamples=20_000).totals(sums)[1:]
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


def test_correlation_without_noise_is_pearsons() -> None:
    """Prevents another measure where nothing is sampled, and one of what does not vary."""
    first, second = np.random.default_rng(4).normal(size=(2, 1, 8))
    many = [np.tile(values, (5, 1)) for values in (first, second)]
    assert correlation_of_rates(*many) == pytest.approx([np.corrcoef(first[0], second[0])[0, 1]] * 5)
    assert np.isnan(correlation_of_rates(np.full((5, 8), 0.3), many[0])).all()


@pytest.mark.parametrize("shared", [0.0, 0.8], ids=["apart", "of the same documents"])
def test_correlation_is_that_of_the_true_rates(shared: float) -> None:
    """Prevents sampling noise from passing for a difference between models, and shared noise for a likeness."""
    source = np.random.default_rng(5)
    truth = source.normal(size=(2, 40))
    truth[1] += 0.7 * truth[0]
    expected = np.corrcoef(truth)[0, 1]

    def noise(*shape: int) -> np.ndarray:
        common, own = source.normal(0, 0.6, shape), source.normal(0, 0.6, (2, *shape))
        return np.sqrt(shared) * common + np.sqrt(1 - shared) * own

    seen, plain, resampled = [], [], []
    for _ in range(300):
        first, second = truth + noise(40)
        errors = noise(200, 40)
        profiles = [np.vstack([one, one + error]) for one, error in zip((first, second), errors, strict=True)]
        found = correlation_of_rates(*profiles)
        seen.append(found[0])
        resampled.append(np.nanmean(found[1:]))
        plain.append(correlation(first, second))
    assert np.mean(seen) == pytest.approx(expected, abs=0.02)
    assert np.mean(resampled) == pytest.approx(expected, abs=0.05)
    assert abs(np.mean(plain) - expected) > 0.05
