"""Memorization scores of windows at several places of the same documents, with contexts of several lengths.

Verbatim recall is said to be strongest from the beginning of a training row, and to fall as a window moves away from it
(arXiv 2505.13171).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from recite.checkpoints.loading import load_checkpoint
from recite.engine.rows import Rows, continue_rows, rows_of_a_batch
from recite.engine.scores import score_columns, score_metadata
from recite.errors import ReciteError
from recite.files import hash64
from recite.stages.offsets.rows import BEGINNINGS, OFFSET_SCORES


class Beginnings(NamedTuple):
    """Documents: columns of the table of their beginnings, and the tokens of each, (tokens,) uint32."""

    ids: list[int]
    domains: list[str]
    probabilities: list[float]
    whole: list[bool]
    tokens: list[np.ndarray]


def score_offsets(
    options: Mapping[str, Any],
    beginnings: Sequence[Path],
    checkpoint: Path,
    batch: Path | None,
    scores: Path,
    threads: int,
) -> None:
    """Score one model on all windows of its family's documents; a context length after the other, all places at once.

    `options` are those of a run with places, contexts and steps, the tokens of a continuation. `batch` is the file of
    the measured batch size where they leave it open. The metadata count the documents without a window; ReciteError
    where there is none at all.
    """
    torch.set_num_threads(threads)
    documents = read_beginnings(beginnings)
    cut = [windows(documents, options["places"], context, options["steps"]) for context in options["contexts"]]
    if not any(places for _, places in cut):
        raise ReciteError(
            f"model {options['model']}: no sampled document has a window of offsets.contexts; ask for shorter ones."
        )
    batch_rows = rows_of_a_batch(options, batch)
    loaded = load_checkpoint(checkpoint, options["dtype"], batch_rows)
    columns: dict[str, list[Any]] = {name: [] for name in OFFSET_SCORES.names}
    for context, (rows, places) in zip(options["contexts"], cut, strict=True):
        if places:
            continuation, batch_rows = continue_rows(loaded, rows, options, batch_rows)
            made = score_columns(rows, continuation) | {"place": places, "context": [context] * len(places)}
            for name, values in columns.items():
                values.extend(made[name])
            metadata = score_metadata(options, loaded, continuation, batch_rows)
    OFFSET_SCORES.write(scores, columns, metadata | {"counts": list(counts(documents, options))})


def read_beginnings(paths: Sequence[Path]) -> Beginnings:
    """The documents of some domains."""
    table = pa.concat_tables([BEGINNINGS.read(path) for path in paths], promote_options="default")
    return Beginnings(
        table["row_id"].to_pylist(),
        table["domain"].to_pylist(),
        table["inclusion_probability"].to_pylist(),
        table["whole"].to_pylist(),
        [head.values.to_numpy() for head in table["tokens"]],
    )


def windows(documents: Beginnings, places: Sequence[int], context: int, steps: int) -> tuple[Rows, list[int]]:
    """The windows of one context length that there are, by document and place, and the place of each."""
    length = context + steps
    found = [
        (at, place)
        for at, place in product(range(len(documents.ids)), places)
        if len(documents.tokens[at]) >= place + length
    ]
    cut = [documents.tokens[at][place : place + length].astype(np.int64) for at, place in found]
    tokens = torch.from_numpy(np.array(cut, np.int64).reshape(-1, length))
    rows = Rows(
        np.array([documents.ids[at] for at, _ in found], np.uint64),
        np.array([hash64("sequence", window.tolist()) for window in cut], np.uint64),
        np.array([documents.domains[at] for at, _ in found], object),
        np.array([documents.probabilities[at] for at, _ in found], float),
        tokens[:, :context],
        tokens[:, context:],
    )
    return rows, [place for _, place in found]


def counts(documents: Beginnings, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A line for every domain and kind of window: its documents, and those without such a window, by reason."""
    lengths: dict[str, list[tuple[int, bool]]] = {}
    for domain, tokens, whole in zip(documents.domains, documents.tokens, documents.whole, strict=True):
        lengths.setdefault(domain, []).append((len(tokens), whole))
    for domain, place, context in product(lengths, options["places"], options["contexts"]):
        without = [whole for length, whole in lengths[domain] if length < place + context + options["steps"]]
        line = {"domain": domain, "place": place, "context": context, "documents": len(lengths[domain])}
        yield line | {"short": sum(without), "cut": len(without) - sum(without)}
