"""Columns that hold a list of numbers a row, all of one length, as arrays of numbers."""

import numpy as np
import pyarrow as pa


def as_lists(values: np.ndarray) -> pa.ListArray:
    """A column of lists from an array, (rows, length)."""
    rows, length = values.shape
    return pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * length, np.ascontiguousarray(values).ravel())


def as_array(column: pa.ChunkedArray) -> np.ndarray:
    """An array, (rows, length), from a column of lists; (0, 0) where there is no row."""
    flat = column.combine_chunks().flatten().to_numpy()
    return flat.reshape(len(column), -1) if len(column) else flat.reshape(0, 0)
