"""Manifolds of known dimension: what the estimators give of so many points of each, which is how far they are off.

A manifold that is laid into a model's width by a linear isometry has the same distances: it need not be laid there.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist, squareform

from recite.files import hash64
from recite.stages.dimension.estimators import ESTIMATORS

DIMENSIONS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
POINTS, FEWEST, MOST = 2000, 3, 20
"""Points that all draws of a manifold have together, and within which bounds their number is."""
BALL, GAUSSIAN = "ball", "gaussian"


class Known(NamedTuple):
    """What an estimator gives of `n` points of a manifold: mean and standard deviation over `draws`."""

    n: int
    estimator: str
    manifold: str
    dimension: int
    estimate: float
    spread: float
    draws: int


def known(n: int, neighbours: int, seed: int) -> Iterator[Known]:
    """Every estimator on `n` points of every manifold."""
    draws = min(max(POINTS // n, FEWEST), MOST)
    for manifold in (BALL, GAUSSIAN):
        for dimension in DIMENSIONS:
            rng = np.random.default_rng(hash64(seed, "manifold", manifold, n, dimension))
            clouds = (points(manifold, n, dimension, rng) for _ in range(draws))
            distances = np.stack([nearest_distances(cloud, neighbours) for cloud in clouds])
            for name, estimate in ESTIMATORS.items():
                values = estimate(distances)
                yield Known(n, name, manifold, dimension, float(values.mean()), float(values.std(ddof=1)), draws)


def points(manifold: str, n: int, dimension: int, rng: np.random.Generator) -> np.ndarray:
    """`n` points, (n, dimension): uniform in the unit ball, or of the standard normal distribution."""
    normal = rng.standard_normal((n, dimension))
    if manifold == GAUSSIAN:
        return normal
    radius = rng.random((n, 1)) ** (1 / dimension)
    return np.asarray(normal / np.linalg.norm(normal, axis=1, keepdims=True) * radius)


def nearest_distances(cloud: np.ndarray, count: int) -> np.ndarray:
    """Distances of the `count` nearest others of each point, (points, count), the nearest first."""
    apart = squareform(pdist(cloud))
    np.fill_diagonal(apart, np.inf)
    return np.sort(np.partition(apart, count - 1, axis=1)[:, :count], axis=1)


def as_balls(estimates: np.ndarray, n: int, estimator: str, curve: list[Known]) -> np.ndarray:
    """The dimension of a uniform ball of which the estimator gives as much with `n` points; NaN beyond the curve."""
    of_ball = [one for one in curve if (one.n, one.estimator, one.manifold) == (n, estimator, BALL)]
    given = np.maximum.accumulate([one.estimate for one in of_ball])
    dimensions = [float(one.dimension) for one in of_ball]
    return np.asarray(np.interp(estimates, given, dimensions, left=np.nan, right=np.nan))
