"""Least-squares lines."""

import math
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


def r_squared(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the variance of `y` (points,) that its line explains; NaN where all are equal."""
    fitted = line(x, y)
    residual = float(((y - fitted.intercept - fitted.slope * x) ** 2).sum())
    return 1 - residual / float(((y - y.mean()) ** 2).sum()) if np.ptp(y) > ROUNDING else math.nan
