"""Sampled windows in the rows that models are trained on: which rows hold which."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from recite.corpora.tables.samples import SAMPLES

Window = tuple[int, ...]


def read_windows(shards: Sequence[Path]) -> dict[int, Window]:
    """Row id -> its tokens, context and continuation, of some shards of a sample."""
    rows = pa.concat_tables([SAMPLES.read(path, ["row_id", "context", "continuation"]) for path in shards])
    texts = zip(rows["context"].to_pylist(), rows["continuation"].to_pylist(), strict=True)
    return {row: (*first, *rest) for row, (first, rest) in zip(rows["row_id"].to_pylist(), texts, strict=True)}


def rows_that_hold(wanted: Collection[Window], tokens: np.ndarray) -> dict[Window, list[int]]:
    """Window -> the rows of `tokens` (rows, length) in which it stands, anywhere; all windows are of one length."""
    length = len(next(iter(wanted), ()))
    if not length or tokens.shape[1] < length:
        return {}
    sought, found = set(wanted), dict[Window, list[int]]()
    views = np.lib.stride_tricks.sliding_window_view(tokens, length, axis=1)
    for index, places in enumerate(views):
        for window in set(map(tuple, places.tolist())) & sought:
            found.setdefault(window, []).append(index)
    return found
