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
from recite.files import read_json
from recite.finite import naming
from recite.memory import halving
from recite.progress import Progress
from recite.tables.samples import SAMPLES
from recite.tables.scores import SCORES


class Rows(NamedTuple):
    """Sampled rows: ids, sequence ids, domains; context and continuation (rows, tokens) int64."""

    ids: list[int]
    sequences: list[int]
    domains: list[str]
    context: Tensor
    continuation: Tensor


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


def rows_of_a_batch(options: Mapping[str, Any], batch: Path | None) -> int:
    """Rows of every forward pass: as the config says, or as measured."""
    return int(read_json(batch)["batch_rows"] if batch else options["batch_rows"])


def continue_rows(
    checkpoint: Checkpoint,
    rows: Rows,
    options: Mapping[str, Any],
    batch_rows: int,
    intervention: Intervention | None = None,
) -> tuple[Continuation, int]:
    """Greedy continuations of the rows' contexts, with a begin-of-sequence token where the model has one.

    Also returns the number of rows of a batch: `batch_rows`, or less where memory was too small for it.
    """
    vocabulary = checkpoint.model.config.vocab_size
    largest = max(int(rows.context.max()), int(rows.continuation.max()))
    if largest >= vocabulary:
        raise ReciteError(
            f"model {options['model']} has {vocabulary} tokens, but its sample holds token {largest}: "
            "the sample was drawn with another tokenizer; draw it with the model's own."
        )
    context = rows.context
    if options["bos"] is not None:
        context = torch.cat([torch.full_like(context[:, :1], options["bos"]), context], dim=1)
    steps = rows.continuation.shape[1]
    print(f"{options['model']}: {len(context)} rows in batches of {batch_rows} on {checkpoint.device}", flush=True)

    def call(size: int) -> Continuation:
        done = Progress(len(context))
        return continue_greedily(checkpoint, context, steps, size, intervention=intervention, done=done)

    with naming(options["model"], rows.ids):
        return halving(call, batch_rows)


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
