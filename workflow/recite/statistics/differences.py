"""The difference of two estimates that were made apart, from their intervals alone."""

from typing import NamedTuple

import numpy as np


class Estimates(NamedTuple):
    """Values and the ends of their intervals, (lines,) each."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def mover(a: Estimates, b: Estimates) -> Estimates:
    """a - b with its interval by the method of variance estimates recovery (MOVER; Zou & Donner 2008).

    Of two Wilson intervals this is Newcombe's hybrid score interval (1998, method 10). It takes the estimates to be
    independent: of those that move together, as on shared documents, it is too wide.
    """
    difference = a.value - b.value
    below = np.hypot(a.value - a.low, b.high - b.value)
    above = np.hypot(a.high - a.value, b.value - b.low)
    return Estimates(difference, difference - below, difference + above)
