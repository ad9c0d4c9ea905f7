"""Sampled rows as tensors, and their greedy continuations."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
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
from recite.tables.lists import as_array


class Rows(NamedTuple):
    """Sampled rows, (rows,) each: ids, sequence ids, domains, inclusion probabilities.

    context and continuation: (rows, tokens) int32.
    """

    ids: np.ndarray
    sequences: np.ndarray
    domains: np.ndarray
    probabilities: np.ndarray
    context: Tensor
    continuation: Tensor


NAMES = ("row_id", "sequence_id", "domain", "inclusion_probability", "context", "continuation")
"""Columns of the table of samples that `Rows` hold."""


def read_rows(shards: Sequence[Path], most: int | None = None, among: Iterable[int] | None = None) -> Rows:
    """The rows of sample shards, in order; or of each domain the first `most`, as drawn, for shards from its first.

    Or those whose ids are `among` some. No more of a shard than what is kept is in memory at once.
    """
    known = None if among is None else np.array(sorted(among), np.uint64)
    seen: Counter[str] = Counter()
    room, count = sum(SAMPLES.count(path) for path in shards), 0
    kept: list[np.ndarray] = []
    for table in chain.from_iterable(SAMPLES.read_batches(path, NAMES) for path in shards):
        columns = [domains_of(table) if name == "domain" else _numbers(table, name) for name in NAMES]
        if known is not None:
            chosen = np.isin(columns[0], known)
            columns = [column[chosen] for column in columns]
        if most is not None:
            chosen = first_of_domains(columns[2], most, seen)
            columns = [column[chosen] for column in columns]
        kept = kept or [np.empty((room, *column.shape[1:]), column.dtype) for column in columns]
        first, count = count, count + len(columns[0])
        for whole, column in zip(kept, columns, strict=True):
            whole[first:count] = column  # room that is never filled takes no memory
    ids, sequences, domains, probabilities, context, continuation = (whole[:count] for whole in kept)
    tokens = torch.from_numpy(context), torch.from_numpy(continuation)
    return Rows(ids, sequences, domains, probabilities, *tokens)


def _numbers(table: pa.Table, name: str) -> np.ndarray:
    """A column of numbers; of tokens, which are fewer than 2^31, as (rows, tokens) int32."""
    column = table[name]
    return as_array(column).view(np.int32) if pa.types.is_list(column.type) else column.to_numpy()


def domains_of(table: pa.Table) -> np.ndarray:
    """The domain of each row of a table, (rows,) str: one string a domain."""
    column = table["domain"].unify_dictionaries().combine_chunks()
    return column.dictionary.to_numpy(zero_copy_only=False)[column.indices.to_numpy()]


def first_of_domains(domains: np.ndarray, most: int, seen: Counter[str]) -> np.ndarray:
    """Which rows, (rows,) bool, are of their domain's first `most`, after those `seen`, which then are more."""
    chosen = np.zeros(len(domains), bool)
    for domain in dict.fromkeys(domains):
        own = np.flatnonzero(domains == domain)
        chosen[own[: max(0, most - seen[domain])]] = True
        seen[domain] += len(own)
    return chosen


def taken(rows: Rows, places: Sequence[int] | np.ndarray) -> Rows:
    """Some of the rows."""
    chosen = np.asarray(places, np.int64)
    columns = (column if isinstance(column, Tensor) else np.asarray(column) for column in rows)
    return Rows(*(column[chosen] for column in columns))  # type: ignore[arg-type]


def together(parts: Sequence[Rows]) -> Rows:
    """The rows of several shards, in their order."""
    columns = (
        torch.cat(column) if isinstance(column[0], Tensor) else np.concatenate(column)
        for column in zip(*parts, strict=True)
    )
    return Rows(*columns)  # type: ignore[arg-type]


def same_rows(table: pa.Table, rows: Rows) -> bool:
    """Whether a table's rows, with row_id and sequence_id, are those that were read, in their order."""
    pairs = (("row_id", rows.ids), ("sequence_id", rows.sequences))
    return all(np.array_equal(table[name].to_numpy(), values) for name, values in pairs)


def donors_of(shard: Rows, places: Sequence[int], seed: int) -> list[int]:
    """For some rows of a shard the places of other ones, whose outputs of a part of the model they are given.

    The rows of the shard stand in a circle by the hash of (seed, row id), and each takes the next that has another
    text: no other shard, no other job and no other changed row changes a row's donor.
    """
    if len(places) and len(np.unique(shard.sequences)) == 1:
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
    names = np.asarray(rows.sequences if alone else rows.ids).tolist()
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
