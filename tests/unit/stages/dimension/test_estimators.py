"""Estimators of intrinsic dimension against another implementation, closed forms and manifolds of known dimension."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import ortho_group

from recite.stages.dimension.estimators import ESTIMATORS, maximum_likelihood, two_nn
from recite.stages.dimension.manifolds import BALL, DIMENSIONS, GAUSSIAN, as_balls, known, nearest_distances, points
from recite.stages.dimension.summarize import HALVES, estimated, scaled

SCIKIT_DIMENSION = {
    (60, 5): (5.551795392194, 4.601624335550, 4.362006058599),
    (40, 12): (7.205274438053, 8.278841658188, 7.751948001310),
}
"""Points and dimension of the normal distribution -> TwoNN, and MLE of 5 and of 10 neighbours, of release 0.5.0."""


def test_the_numbers_of_scikit_dimension() -> None:
    """Prevents another convention of what is discarded, of i / n, or of k - 1 and k - 2 than the published ones."""
    rng = np.random.default_rng(7)
    for (n, dimension), expected in SCIKIT_DIMENSION.items():
        cloud = rng.standard_normal((n, dimension))
        found = [two_nn(nearest_distances(cloud, 10))]
        found += [maximum_likelihood(nearest_distances(cloud, k)) for k in (5, 10)]
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_two_nn_of_pareto_ratios() -> None:
    """Ratios that lie at the quantiles of a Pareto distribution give its exponent, whatever the largest tenth is."""
    n, d = 50, 7.0
    ratios = (1 - np.arange(1, n) / n) ** (-1 / d)
    ratios = np.append(ratios, ratios[-1] * 1000)
    distances = np.column_stack([np.full(n, 3.0), 3.0 * ratios])
    assert two_nn(distances[::-1]) == pytest.approx(d)
    assert two_nn(np.stack([distances, distances])).shape == (2,)


def test_maximum_likelihood_by_loops() -> None:
    """Prevents dimensions from being averaged in place of their inverses, and a point's farthest from counting."""
    distances = np.sort(np.random.default_rng(1).gamma(3, 1, (30, 6)), axis=1)
    inverses = [np.mean([np.log(row[5] / row[j]) for j in range(5)]) for row in distances]
    assert maximum_likelihood(distances) == pytest.approx(1 / np.mean(inverses))
    assert maximum_likelihood(distances * 1e-6) == pytest.approx(1 / np.mean(inverses))


def test_nearest_distances_of_a_tree() -> None:
    cloud = np.random.default_rng(2).standard_normal((80, 3))
    expected, _ = cKDTree(cloud).query(cloud, 8)
    np.testing.assert_allclose(nearest_distances(cloud, 7), expected[:, 1:], atol=1e-12)


@pytest.mark.parametrize("manifold", [BALL, GAUSSIAN])
def test_the_true_dimension_where_points_are_many(manifold: str) -> None:
    """Prevents points that fill fewer or more directions than they should, on a plane of a model's width too."""
    rng = np.random.default_rng(3)
    for dimension in (1, 2, 5):
        cloud = points(manifold, 2500, dimension, rng)
        laid = cloud @ ortho_group.rvs(40, random_state=1)[:dimension] + 3
        for estimate in ESTIMATORS.values():
            value = estimate(nearest_distances(cloud, 10))
            assert value == pytest.approx(dimension, rel=0.09)
            assert estimate(nearest_distances(laid, 10)) == pytest.approx(float(value), rel=1e-6)


def test_what_few_points_give() -> None:
    """The bias is there, grows with the dimension and shrinks with the points; the inverse of the curve undoes it."""
    few, many = ([*known(n, 5, 1)] for n in (32, 300))
    for name in ESTIMATORS:
        curves = []
        for curve, n in ((few, 32), (many, 300)):
            of_ball = [one for one in curve if (one.estimator, one.manifold) == (name, BALL)]
            assert [one.dimension for one in of_ball] == [*DIMENSIONS]
            estimates = np.array([one.estimate for one in of_ball])
            assert (np.diff(estimates) > 0).all()
            np.testing.assert_allclose(as_balls(estimates, n, name, curve), DIMENSIONS)
            assert np.isnan(as_balls(estimates[-1:] * 1.01, n, name, curve)).all()
            curves.append(estimates / DIMENSIONS)
        assert curves[0][0] == pytest.approx(1, abs=0.15)
        assert (curves[0][8:] < 0.75).all() and (curves[0][8:] < curves[1][8:]).all()
        assert (np.diff(curves[0][6:]) < 0).all()


def cloud_of(manifold: str, n: int, dimension: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours of a cloud as they are stored of one layer at one place."""
    cloud = points(manifold, n, dimension, rng)
    apart = np.linalg.norm(cloud[:, None] - cloud[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart, axis=1)[:, : min(n - 1, 40)]
    return order[None, None], np.take_along_axis(apart, order, axis=1)[None, None]


@pytest.mark.parametrize(("manifold", "dimension"), [(BALL, 4), (GAUSSIAN, 16)])
def test_intervals_cover(manifold: str, dimension: int) -> None:
    """What the estimator gives on average lies in 95 of 100 intervals or more, and these are no wider than they must
    be by half.
    """
    rng, trials = np.random.default_rng(4), 60
    for name in ESTIMATORS:
        ends, values = [], []
        for trial in range(trials):
            group = estimated(*cloud_of(manifold, 36, dimension, rng), 5, trial)
            assert group.values[name].shape == (1 + HALVES, 1, 1)
            ends.append([*scaled("d", group.values[name][:, 0, 0], 0.95).values()])
            values.append(ends[-1][0])
        logs = np.log(ends)
        middle = logs[:, 0].mean()
        covered = ((logs[:, 1] <= middle) & (middle <= logs[:, 2])).mean()
        error = ((logs[:, 2] - logs[:, 1]) / (2 * 1.96)).mean()
        assert covered >= 0.93
        assert 0.85 < error / np.std(logs[:, 0], ddof=1) < 1.7
