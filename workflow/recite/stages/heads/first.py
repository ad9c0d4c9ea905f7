"""The first so many heads."""

import numpy as np


def count_of(share: float, heads: int) -> int:
    """How many of so many heads a share of them is; at least one."""
    return max(1, round(share * heads))


def first(values: np.ndarray, count: int) -> np.ndarray:
    """The `count` greatest over the last axis, of equal ones the first; bool, of the shape of `values`."""
    order = np.argsort(-values, axis=-1, kind="stable")
    return np.asarray(order.argsort(axis=-1) < count)
