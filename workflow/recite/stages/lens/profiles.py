"""Profiles over layers compared on a common relative depth."""

import numpy as np

from recite.statistics.tests import correlation

DEPTHS = 20
"""Relative depths at which the profiles of two models are compared."""


def alike(depths_a: np.ndarray, a: np.ndarray, depths_b: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of two profiles, (1 + resamples, layers) at their relative depths, over the depths that both have."""
    common = np.linspace(max(depths_a[0], depths_b[0]), 1, DEPTHS)
    return correlation(at_depths(depths_a, a, common), at_depths(depths_b, b, common))


def at_depths(depths: np.ndarray, values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Profiles, (1 + resamples, layers), at other depths, between the layers on straight lines: (1 + resamples,
    places).
    """
    weights = [np.interp(places, depths, one) for one in np.eye(len(depths))]
    return values @ np.stack(weights)
