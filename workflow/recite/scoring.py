"""Memorization scores: each sampled row continued greedily and set against the corpus.

M(X, Y) = (1/n) sum_k 1[x_k = y_k] over the n continuation tokens; the table stores the integer sum.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from torch import Tensor

from recite.checkpoints import Checkpoint, load_checkpoint
from recite.engine import Continuation, Intervention, continue_greedily
from recite.errors import ReciteError
from recite.tables.samples import SAMPLES
from recite.tables.scores import SCORES
from recite.tokenizer import BOS_ID


class Rows(NamedTuple):
    """Sampled rows: ids, sequence ids, domains; context and continuation (rows, tokens) int64."""

    ids: list[int]
    sequences: list[int]
    domains: list[str]
    context: Tensor
    continuation: Tensor


def score(options: Mapping[str, Any], shards: Sequence[Path], checkpoint: Path, scores: Path, threads: int) -> None:
    """Score one model on some shards of its sample and write the scores table, rows in shard order."""
    torch.set_num_threads(threads)
    rows = read_rows(shards)
    loaded = load_checkpoint(checkpoint, options["dtype"])
    continuation = continue_rows(loaded, rows, options)
    SCORES.write(scores, score_columns(rows, continuation), score_metadata(options, loaded, continuation))


def read_rows(shards: Sequence[Path]) -> Rows:
    """The rows of sample shards, in order."""
    columns = ["row_id", "sequence_id", "domain", "context", "continuation"]
    table = pa.concat_tables([SAMPLES.read(path, columns) for path in shards], promote_options="default")
    return Rows(
        table["row_id"].to_pylist(),
        table["sequence_id"].to_pylist(),
        table["domain"].to_pylist(),
        torch.tensor(table["context"].to_pylist()),
        torch.tensor(table["continuation"].to_pylist()),
    )


def continue_rows(
    checkpoint: Checkpoint, rows: Rows, options: Mapping[str, Any], intervention: Intervention | None = None
) -> Continuation:
    """Greedy continuations of the rows' contexts, with a begin-of-sequence token where the model has one."""
    vocabulary = checkpoint.model.config.vocab_size
    largest = max(int(rows.context.max()), int(rows.continuation.max()))
    if largest >= vocabulary:
        raise ReciteError(
            f"model {options['model']} has {vocabulary} tokens, but its sample holds token {largest}: "
            "the sample was drawn with another tokenizer; draw it with the model's own."
        )
    context = rows.context
    if options["bos"]:
        context = torch.cat([torch.full_like(context[:, :1], BOS_ID), context], dim=1)
    steps = rows.continuation.shape[1]
    print(f"{options['model']}: {len(context)} rows in batches of {options['batch_rows']}", flush=True)
    return continue_greedily(checkpoint.model, context, steps, options["batch_rows"], intervention)


def score_columns(rows: Rows, continuation: Continuation) -> dict[str, Any]:
    """Columns of the scores table."""
    equal = continuation.tokens == rows.continuation
    return {
        "row_id": rows.ids,
        "sequence_id": rows.sequences,
        "domain": rows.domains,
        "hits": equal.sum(dim=1).tolist(),
        "first_mismatch": equal.cumprod(dim=1).sum(dim=1).tolist(),
        "generated": continuation.tokens.tolist(),
        "margin": continuation.margin.tolist(),
    }


def score_metadata(options: Mapping[str, Any], checkpoint: Checkpoint, continuation: Continuation) -> dict[str, Any]:
    """What every file of scores says of its making."""
    return {
        "options": dict(options),
        "continuation_tokens": continuation.tokens.shape[1],
        "parameters": checkpoint.parameters,
        "weights_sha256": checkpoint.weights_sha256,
        "device": checkpoint.model.device.type,
        "dtype": str(checkpoint.model.dtype).removeprefix("torch."),
    }
