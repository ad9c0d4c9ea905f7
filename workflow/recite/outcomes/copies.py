"""What is known of how often rows were trained on: planted rows' numbers of copies, and rows of no copy."""

from collections.abc import Mapping

import numpy as np

from recite.errors import ReciteError
from recite.outcomes.frame import HELD_OUT, PLANTED, Frame

UNSEEN = "unseen"
"""Rows that no model was trained on."""


def copies_of(frame: Frame, repetitions: Mapping[int, int]) -> np.ndarray:
    """The known number of copies of each planted row, (planted rows,); none without `repetitions`, row id -> copies."""
    ids = frame.row_ids[frame.rows_of(PLANTED)].tolist() if repetitions else []
    if any(row_id not in repetitions for row_id in ids):
        raise ReciteError("scores hold planted rows that no sample holds; delete the scores and run again.")
    return np.array([repetitions[row_id] for row_id in ids], np.int64)


def unseen_rows(frame: Frame, copies: np.ndarray) -> np.ndarray:
    """Indices, ascending, of the rows that no model was trained on: held out, or planted with 0 of `copies`."""
    planted = frame.rows_of(PLANTED)[copies == 0] if len(copies) else np.zeros(0, np.int64)
    return np.sort(np.concatenate([frame.rows_of(HELD_OUT), planted]))
