"""Intrinsic dimension by the distances of nearest neighbours, (..., points, neighbours), the nearest first.

TwoNN (Facco et al. 2017, doi 10.1038/s41598-017-11873-y): mu = r_2 / r_1 of a point follows P(mu <= x) = 1 - x^-d where
the density is constant up to the second neighbour; d is the slope through 0 of -log(1 - i / n) over log mu_(i), of the
ratios in order without the tenth that is largest.

Maximum likelihood (Levina & Bickel 2004): 1 / d at a point is the mean of log(r_k / r_j) over j < k; over points the
inverses are averaged, not the dimensions (MacKay & Ghahramani 2005).
"""

import numpy as np

DISCARDED = 0.1
"""Share of the ratios, the largest, that TwoNN passes over."""


def two_nn(distances: np.ndarray) -> np.ndarray:
    """TwoNN from the two nearest neighbours of each point: (...,)."""
    ratios = np.sort(np.log(distances[..., 1] / distances[..., 0]), axis=-1)
    count = ratios.shape[-1]
    kept = ratios[..., : int(count * (1 - DISCARDED))]
    heights = -np.log1p(-np.arange(1, kept.shape[-1] + 1) / count)
    return np.asarray((kept * heights).sum(axis=-1) / (kept**2).sum(axis=-1))


def maximum_likelihood(distances: np.ndarray) -> np.ndarray:
    """Maximum likelihood from as many neighbours of each point as there are: (...,)."""
    inverse = np.log(distances[..., -1:] / distances[..., :-1]).mean(axis=-1)
    return np.asarray(1 / inverse.mean(axis=-1))


ESTIMATORS = {"two_nn": two_nn, "maximum_likelihood": maximum_likelihood}
