"""Which heads a screening puts forward: the first of every group of rows, by how much they are estimated to matter."""

from collections.abc import Iterable

import numpy as np


def count_of(share: float, heads: int) -> int:
    """How many of so many heads a share of them is; at least one."""
    return max(1, round(share * heads))


def first(values: np.ndarray, count: int) -> np.ndarray:
    """The `count` greatest over the last axis, of equal ones the first; bool, of the shape of `values`."""
    order = np.argsort(-values, axis=-1, kind="stable")
    return np.asarray(order.argsort(axis=-1) < count)


def shortlist(groups: Iterable[np.ndarray], share: float) -> np.ndarray:
    """Numbers of the heads that are among the first `share` of any group, ascending; each group is (heads,).

    Not by the mean over the groups: that would decide beforehand that domains have their heads in common.
    """
    chosen = [first(values, count_of(share, len(values))) for values in groups]
    return np.flatnonzero(np.any(chosen, axis=0))
