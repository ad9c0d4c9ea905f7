"""Least-squares lines."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recite.statistics.intervals import ROUNDING


class Line(NamedTuple):
    """Least-squares lines y = intercept + slope x; each number an array with one entry per set of y."""

    slope: np.ndarray
    intercept: np.ndarray


def line(x: np.ndarray, y: np.ndarray) -> Line:
    """Least-squares lines through `x` (points,) and each of `y` (..., points); ValueError for a single x."""
    centred = x - x.mean()
    spread = float((centred**2).sum())
    if spread == 0:
        raise ValueError("a line needs models of at least two sizes")
    slope = (y * centred).sum(axis=-1) / spread
    return Line(slope, y.mean(axis=-1) - slope * x.mean())


def within(values: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """`values` (..., points) less the mean of each point's group: what lines of a common slope are fitted to."""
    _, places = np.unique(groups, return_inverse=True)
    member = places[:, None] == np.arange(places.max() + 1)
    means = values @ (member / member.sum(axis=0))
    return np.asarray(values - means[..., places])


def r_squared(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the variance of `y` (points,) that its line explains; NaN where all are equal."""
    fitted = line(x, y)
    residual = float(((y - fitted.intercept - fitted.slope * x) ** 2).sum())
    return 1 - residual / float(((y - y.mean()) ** 2).sum()) if np.ptp(y) > ROUNDING else math.nan
