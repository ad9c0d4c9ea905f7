"""Memorization scores: each sampled row continued greedily and set against the corpus.

M(X, Y) = (1/n) sum_k 1[x_k = y_k] over the n continuation tokens; the table stores the integer sum.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from recite.checkpoints.loading import load_checkpoint
from recite.engine.rows import continue_rows, read_rows, rows_of_a_batch
from recite.engine.scores import score_columns, score_metadata
from recite.stages.scoring.rows import SCORES


def score(
    options: Mapping[str, Any], shards: Sequence[Path], checkpoint: Path, batch: Path | None, scores: Path, threads: int
) -> None:
    """Score one model on some shards of its sample and write the scores table, rows in shard order.

    `batch` is the file of the measured batch size where `options` leave it open ("auto").
    """
    torch.set_num_threads(threads)
    rows = read_rows(shards)
    batch_rows = rows_of_a_batch(options, batch)
    loaded = load_checkpoint(checkpoint, options["dtype"], batch_rows)
    continuation, batch_rows = continue_rows(loaded, rows, options, batch_rows)
    SCORES.write(scores, score_columns(rows, continuation), score_metadata(options, loaded, continuation, batch_rows))
