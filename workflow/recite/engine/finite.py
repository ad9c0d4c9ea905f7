"""Numbers that are not finite: what damaged weights give, or a precision that they do not fit, is no measurement."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from recite.errors import ReciteError


class NotFiniteError(ReciteError):
    """What a model made of a row is infinite or not a number.

    what: which numbers. dtype: the precision that they were made in. row: the first such row, by its place among those
    that were given.
    """

    def __init__(self, what: str, dtype: str, row: int, place: str = "") -> None:
        self.what, self.dtype, self.row = what, dtype, row
        super().__init__(
            f"{place or f'row {row}, from 0'}: {what} that are not finite, in {dtype}; set another `dtype` (float16 "
            "ends at 65,504), and if that does not help, check the weights: make or fetch them again."
        )


def refuse_non_finite(values: Tensor, what: str, dtype: str) -> None:
    """Raise NotFiniteError if any of `values` (rows, ...) is infinite or not a number; `what` names the values."""
    rows = ~torch.isfinite(values[..., None]).flatten(1).all(dim=1)
    if rows.any():
        raise NotFiniteError(what, dtype, int(rows.nonzero()[0]))


@contextmanager
def at_rows(rows: Sequence[int] | Tensor) -> Iterator[None]:
    """Within the block a row that is refused is known as `rows[its place]`."""
    try:
        yield
    except NotFiniteError as error:
        raise NotFiniteError(error.what, error.dtype, int(rows[error.row])) from None


@contextmanager
def naming(model: str, ids: Sequence[int] | np.ndarray) -> Iterator[None]:
    """Within the block a row that is refused is named by its id and its model."""
    try:
        yield
    except NotFiniteError as error:
        row = ids[error.row]
        raise NotFiniteError(error.what, error.dtype, error.row, f"model {model}, row {row}") from None
