"""At which steps of a training each text was seen: the order of the rows is seeded, so it can be told afterwards."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recite.checkpoints.training import order_digest, read_rows, training_order
from recite.corpora.windows import rows_that_hold
from recite.errors import ReciteError


def exposures(
    windows: Mapping[int, tuple[int, ...]], rows: Path, recipe: Mapping[str, Any], order_blake2b: str
) -> dict[int, list[int]]:
    """Row id -> the steps, from 1 and ascending, of which a training row holds its window of tokens, one for each row.

    `rows` are the training rows, `recipe` gives their order, and `order_blake2b` is that which the training recorded:
    ReciteError where the two are not the same.
    """
    tokens = read_rows(rows)
    order = training_order(tokens, recipe)
    if order_digest(order) != order_blake2b:
        raise ReciteError(
            f"{rows} is not what the model was trained on, in that order; delete the model and run again."
        )
    steps: list[list[int]] = [[] for _ in range(len(tokens))]
    for place, index in enumerate(order.tolist()):
        steps[index].append(place // recipe["batch_rows"] + 1)
    holding = rows_that_hold(windows.values(), tokens.numpy())
    return {
        row_id: sorted(step for index in holding.get(window, ()) for step in steps[index])
        for row_id, window in windows.items()
    }
