"""Continuations held against the corpus.

M(X, Y) = (1/n) sum_k 1[x_k = y_k] over the n continuation tokens; the integer sum is kept.
"""

from collections.abc import Mapping
from typing import Any

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import Continuation
from recite.engine.rows import Rows


def score_columns(rows: Rows, continuation: Continuation) -> dict[str, Any]:
    """Columns of the scores table."""
    equal = continuation.tokens == rows.continuation
    return {
        "row_id": rows.ids,
        "sequence_id": rows.sequences,
        "domain": rows.domains,
        "inclusion_probability": rows.probabilities,
        "hits": equal.sum(dim=1).tolist(),
        "first_mismatch": equal.cumprod(dim=1).sum(dim=1).tolist(),
        "generated": continuation.tokens.tolist(),
        "margin": continuation.margin.tolist(),
    }


def score_metadata(
    options: Mapping[str, Any], checkpoint: Checkpoint, continuation: Continuation, batch_rows: int
) -> dict[str, Any]:
    """What every file of scores says of its making."""
    return {
        "options": dict(options),
        "batch_rows": batch_rows,
        "continuation_tokens": continuation.tokens.shape[1],
        "parameters": checkpoint.parameters,
        "weights_sha256": checkpoint.weights_sha256,
        "device": checkpoint.device,
        "dtype": checkpoint.dtype,
    }
