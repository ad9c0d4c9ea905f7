"""Compressibility: by which suffixes of its context a memorized row is still continued as the corpus continues it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.corpora.tables.samples import SAMPLES
from recite.engine.continuation import continue_greedily
from recite.engine.finite import naming
from recite.engine.memory import halving
from recite.engine.passes import BLOCK_BATCHES
from recite.errors import ReciteError
from recite.progress import Done, Progress, unseen
from recite.stages.compressibility.rows import SUFFIXES
from recite.stages.scoring.rows import SCORES
from recite.tables import read_metadata

MADE_WITH = ("parameters", "weights_sha256", "device", "dtype")
"""What the metadata of scores says of the model that made them."""
KEPT = ("row_id", "sequence_id", "domain", "inclusion_probability")
"""What the table of suffixes takes over from scores."""


class Recited(NamedTuple):
    """The rows that a model recites whole.

    rows: table of what is KEPT. places: (rows,) index of each row's text. context, continuation:
    (texts, tokens) int64 token ids of the distinct texts.
    """

    rows: pa.Table
    places: np.ndarray
    context: Tensor
    continuation: Tensor

    @property
    def ids(self) -> list[int]:
        """The id of each text's first row."""
        _, first = np.unique(self.places, return_index=True)
        ids: list[int] = self.rows["row_id"].take(first).to_pylist()
        return ids


def shorten(
    options: Mapping[str, Any],
    scores: Path,
    shards: Sequence[Path],
    checkpoint: Path,
    suffixes: Path,
    threads: int,
) -> None:
    """Find the sufficient suffixes of all rows of one part of a model's scores that are recited whole.

    `shards` are the sample shards of that part, in their order. Each distinct text is run once. Where no row is
    recited whole the model is not loaded.
    """
    torch.set_num_threads(threads)
    made = read_metadata(scores)
    recited = read_recited(scores, shards, made["continuation_tokens"])
    texts, length = recited.context.shape
    model, batch_rows = {key: made[key] for key in MADE_WITH}, options["batch_rows"]
    sufficient = np.zeros((0, length), bool)
    print(f"{options['model']}: {len(recited.rows)} rows of {texts} distinct texts are recited whole", flush=True)
    if texts:
        loaded = load_checkpoint(checkpoint, options["dtype"], batch_rows)
        model = {key: getattr(loaded, key) for key in MADE_WITH}

        def call(size: int) -> Tensor:
            given, done = (loaded, recited.context, recited.continuation), Progress(texts * length, "suffixes")
            return sufficient_suffixes(*given, size, options["bos"], done=done)

        with naming(options["model"], recited.ids):
            found, batch_rows = halving(call, batch_rows)
        sufficient = found.numpy()
    near_ties = int((~sufficient[recited.places, -1]).sum())
    print(f"{near_ties} of these rows' whole contexts fail when all is checked at once: near-ties", flush=True)
    metadata = {
        "options": dict(options),
        "batch_rows": batch_rows,
        "context_tokens": length,
        "continuation_tokens": made["continuation_tokens"],
        "texts": texts,
        "near_ties": near_ties,
    }
    SUFFIXES.write(suffixes, suffix_columns(recited, sufficient), metadata | model)


def read_recited(scores: Path, shards: Sequence[Path], steps: int) -> Recited:
    """Rows of a part with `steps` hits; ReciteError where the scores are of other rows than the shards'."""
    names = list(KEPT[:2])
    scored = SCORES.read(scores, [*KEPT, "hits"])
    sampled = pa.concat_tables([SAMPLES.read(path, [*names, "context", "continuation"]) for path in shards])
    if not scored.select(names).equals(sampled.select(names)):
        raise ReciteError(f"{scores} scores other rows than its samples hold; delete it and run again.")
    whole = pc.equal(scored["hits"], steps)
    rows = scored.select(list(KEPT)).filter(whole)
    _, first, places = np.unique(rows["sequence_id"].to_numpy(), return_index=True, return_inverse=True)
    texts = sampled.filter(whole).take(first)
    tokens = {}
    for name in ("context", "continuation"):
        ids = texts[name].combine_chunks().flatten().to_numpy().astype(np.int64)
        tokens[name] = torch.from_numpy(ids.reshape(len(texts), len(sampled[name][0])))
    return Recited(rows, places, tokens["context"], tokens["continuation"])


def suffix_columns(recited: Recited, sufficient: np.ndarray) -> dict[str, Any]:
    """Columns of the table of suffixes from which lengths suffice, (texts, length) bool.

    That the whole context suffices is what made the row memorized, so its bit is set whatever was found.
    """
    sufficient = sufficient.copy()
    sufficient[:, -1] = True
    bits = np.left_shift(np.uint64(1), np.arange(sufficient.shape[1], dtype=np.uint64))
    masks = (sufficient * bits).sum(axis=1, dtype=np.uint64)
    return {
        "row_id": recited.rows["row_id"],
        "sequence_id": recited.rows["sequence_id"],
        "domain": recited.rows["domain"].cast(pa.string()).dictionary_encode(),
        "inclusion_probability": recited.rows["inclusion_probability"],
        "mask": pa.array(masks[recited.places]),
        "shortest": pa.array((sufficient.argmax(axis=1) + 1)[recited.places], pa.uint8()),
    }


def sufficient_suffixes(
    checkpoint: Checkpoint,
    context: Tensor,
    continuation: Tensor,
    batch_rows: int,
    bos: int | None = None,
    block_batches: int = BLOCK_BATCHES,
    done: Done = unseen,
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
            done=done,
        ).first_mismatch
        == steps
        for length in range(1, context.shape[1] + 1)
    ]
    return torch.stack(columns, dim=1)
