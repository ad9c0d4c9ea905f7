"""Sampled rows as tensors, and their greedy continuations."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.corpora.tables.samples import SAMPLES
from recite.engine.continuation import Continuation, Intervention, continue_greedily
from recite.engine.finite import naming
from recite.engine.memory import halving
from recite.errors import ReciteError
from recite.files import hash64, read_json
from recite.progress import Progress


class Rows(NamedTuple):
    """Sampled rows: ids, sequence ids, domains, inclusion probabilities; context and continuation: (rows, tokens)."""

    ids: list[int]
    sequences: list[int]
    domains: list[str]
    probabilities: list[float]
    context: Tensor
    continuation: Tensor


def read_rows(shards: Sequence[Path], most: int | None = None, among: Iterable[int] | None = None) -> Rows:
    """The rows of sample shards, in order; or of each domain the first `most`, as drawn, for shards from its first.

    Or those whose ids are `among` some.
    """
    columns = ["row_id", "sequence_id", "domain", "inclusion_probability", "context", "continuation"]
    table = pa.concat_tables([SAMPLES.read(path, columns) for path in shards], promote_options="default")
    if among is not None:
        table = table.filter(pc.is_in(table["row_id"], pa.array(sorted(among), pa.uint64())))
    if most is not None:
        seen: Counter[str] = Counter()
        first = []
        for domain in table["domain"].to_pylist():
            seen[domain] += 1
            first.append(seen[domain] <= most)
        table = table.filter(pa.array(first, pa.bool_()))
    return Rows(
        table["row_id"].to_pylist(),
        table["sequence_id"].to_pylist(),
        table["domain"].to_pylist(),
        table["inclusion_probability"].to_pylist(),
        torch.tensor(table["context"].to_pylist()),
        torch.tensor(table["continuation"].to_pylist()),
    )


def taken(rows: Rows, places: Sequence[int]) -> Rows:
    """Some of the rows."""
    columns = (
        column[torch.tensor(places, dtype=torch.int64)] if isinstance(column, Tensor) else [column[p] for p in places]
        for column in rows
    )
    return Rows(*columns)  # type: ignore[arg-type]


def together(parts: Sequence[Rows]) -> Rows:
    """The rows of several shards, in their order."""
    columns = (
        torch.cat(column) if isinstance(column[0], Tensor) else [value for part in column for value in part]
        for column in zip(*parts, strict=True)
    )
    return Rows(*columns)  # type: ignore[arg-type]


def donors_of(shard: Rows, places: Sequence[int], seed: int) -> list[int]:
    """For some rows of a shard the places of other ones, whose outputs of a part of the model they are given.

    The rows of the shard stand in a circle by the hash of (seed, row id), and each takes the next that has another
    text: no other shard, no other job and no other changed row changes a row's donor.
    """
    if len(places) and len(set(shard.sequences)) == 1:
        raise ReciteError(
            f"all rows of a shard of domain {shard.domains[0]} have the same text, so that none can be given "
            "another one's outputs; choose larger shards or another replacement."
        )
    circle = sorted(range(len(shard.ids)), key=lambda row: hash64(seed, "donor", shard.ids[row]))
    at = {row: place for place, row in enumerate(circle)}
    found = []
    for row in places:
        place = at[row] + 1
        while shard.sequences[circle[place % len(circle)]] == shard.sequences[row]:
            place += 1
        found.append(circle[place % len(circle)])
    return found


def run_once(rows: Rows, alone: bool) -> tuple[list[int], list[int]]:
    """The rows that are run, and for each row its place among these: equal texts are run once where a row is `alone`.

    A row that is lent another one's outputs is not: rows of equal text have different donors.
    """
    names = rows.sequences if alone else rows.ids
    run = list({name: row for row, name in reversed(list(enumerate(names)))}.values())[::-1]
    at = {names[row]: place for place, row in enumerate(run)}
    return run, [at[name] for name in names]


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
