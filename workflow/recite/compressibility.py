"""Compressibility: by which suffixes of its context a memorized row is still continued as the corpus continues it."""

import torch
from torch import Tensor

from recite.checkpoints import Checkpoint
from recite.engine import continue_greedily


def sufficient_suffixes(
    checkpoint: Checkpoint,
    context: Tensor,
    continuation: Tensor,
    batch_rows: int,
    bos: int | None = None,
    block_batches: int = 4,
) -> Tensor:
    """Which suffix lengths suffice: (rows, length) bool, column k - 1 for the last k tokens of the context.

    `context` (rows, length) and `continuation` (rows, steps) are int64 token ids; a suffix follows the token `bos`
    where the model wants one. Success need not grow with the length, so every length is tried; the continuation is its
    own draft, and a row is dropped at its first wrong token.
    """
    steps = continuation.shape[1]
    first = context[:, :0] if bos is None else torch.full_like(context[:, :1], bos)
    columns = [
        continue_greedily(
            checkpoint,
            torch.cat([first, context[:, -length:]], dim=1),
            steps,
            batch_rows,
            draft=continuation,
            to_the_end=False,
            block_batches=block_batches,
        ).first_mismatch
        == steps
        for length in range(1, context.shape[1] + 1)
    ]
    return torch.stack(columns, dim=1)
