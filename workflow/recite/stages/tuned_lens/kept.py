"""Rows that are kept from measuring, to train translators on: no context and no continuation of theirs is measured."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from recite.engine.rows import Rows
from recite.errors import ReciteError
from recite.files import hash64


def kept_rows(rows: Rows, share: float, seed: int) -> np.ndarray:
    """Which rows are trained on, (rows,) bool: about `share` of them, of every domain alike.

    Rows of one context, and rows of one continuation, go together, and so do all that such rows tie together. The
    hash of the seed and the smallest sequence id among them decides, whatever their order. ReciteError where nothing is
    left to train on or to measure.
    """
    groups = tied(rows.context, rows.continuation)
    names = np.full(groups.max() + 1, np.iinfo(np.uint64).max)
    np.minimum.at(names, groups, rows.sequences)
    kept = np.array([hash64(seed, "translator", name) / 2**64 < share for name in names.tolist()])[groups]
    if kept.all() or not kept.any():
        raise ReciteError(
            f"tuned_lens: of {len(kept)} rows {int(kept.sum())} would be trained on, which leaves nothing to "
            f"{'measure' if kept.any() else 'train on'}; set another training_share, or more rows_per_domain."
        )
    return kept


def tied(context: Tensor, continuation: Tensor) -> np.ndarray:
    """The group of each row, (rows,) from 0: rows of equal context or equal continuation are of one group."""
    rows = np.arange(len(context))
    first, second = (
        np.unique(part.numpy(), axis=0, return_inverse=True)[1].ravel() for part in (context, continuation)
    )
    nodes = len(rows) + first.max() + 1 + second.max() + 1
    ends = np.concatenate([first, first.max() + 1 + second]) + len(rows)
    edges = coo_array((np.ones(2 * len(rows)), (np.concatenate([rows, rows]), ends)), shape=(nodes, nodes))
    return np.unique(connected_components(edges)[1][: len(rows)], return_inverse=True)[1].ravel()


def refuse_shared(rows: Rows, kept: np.ndarray, where: str) -> None:
    """ReciteError if a context or a continuation of the `kept` rows, (rows,) bool, is one of the others too."""
    for part in (rows.context, rows.continuation):
        ours, theirs = ({tuple(tokens) for tokens in part[which].tolist()} for which in (kept, ~kept))
        if ours & theirs:
            raise ReciteError(
                f"{where} keeps rows to train on that share text with measured ones; delete it and run again."
            )
