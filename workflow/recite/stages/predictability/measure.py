"""Prior predictability: each drawn row's continuation after its own context and after unrelated ones of its domain.

The model is fed the true continuation (teacher forcing). One pass gives its log-probability, and whether each of its
tokens leads: if all do, it would be recited greedily.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from recite.checkpoints.loading import load_checkpoint
from recite.engine.finite import naming
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.scores import Forced, forced
from recite.outcomes.drawing import draw_samples, samples_of
from recite.progress import Progress
from recite.stages.predictability.priors import unrelated
from recite.stages.predictability.rows import PRIORS
from recite.stages.predictability.templates import template_of
from recite.stages.scoring.rows import SCORES
from recite.tables.lists import as_array

READ = ("document_id", "text", "context_bytes", "context", "continuation")


class Asked(NamedTuple):
    """Drawn rows of one domain: their columns of the table, and tokens.

    context: (rows, 1 + contexts, length), the row's own first. continuation: (rows, steps).
    """

    columns: dict[str, list[Any]]
    context: np.ndarray
    continuation: np.ndarray


def measure_priors(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    shards: Sequence[Path],
    checkpoint: Path,
    priors: Path,
    threads: int,
) -> None:
    """Write a line for every row of some domains that is drawn by its class under one model.

    `options` are those of scoring with `domains`, `classes` (class -> how many rows of a domain), their thresholds,
    `contexts` (how many unrelated ones) and the seed. `scores` and `shards` hold all rows of these domains.
    """
    torch.set_num_threads(threads)
    samples = samples_of(options["domains"], shards, READ)
    drawn = [ask(domain, scores, rows, options) for domain, rows in samples]
    context, continuation = (np.concatenate([getattr(part, name) for part in drawn]) for name in Asked._fields[1:])
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    text, steps = texts_of(context, continuation, options["bos"]), continuation.shape[1]
    columns = {name: [value for part in drawn for value in part.columns[name]] for name in drawn[0].columns}
    print(f"{options['model']}: {len(context)} rows after {context.shape[1]} contexts on {loaded.device}", flush=True)
    with naming(options["model"], np.repeat(columns["row_id"], context.shape[1]).tolist()):
        found, batch_rows = halving(
            lambda size: forced(loaded, text, steps, size, done=Progress(len(text))), options["batch_rows"]
        )
    metadata = made(
        options, loaded, batch_rows, continuation_tokens=steps, contexts=options["contexts"], teacher_forced=True
    )
    PRIORS.write(priors, columns | prior_columns(found, context.shape[1], steps), metadata)


def ask(domain: str, scores: Sequence[Path], rows: pa.Table, options: Mapping[str, Any]) -> Asked:
    """Draw rows of a domain and their contexts; ReciteError where scores and samples do not hold the same rows."""
    places, columns = draw_samples(domain, scores, SCORES, rows, options)
    context, continuation = as_array(rows["context"]), as_array(rows["continuation"])[places]
    documents = np.unique(rows["document_id"].to_pylist(), return_inverse=True)[1]
    others = unrelated(rows["row_id"].to_numpy(), documents, context, places, options["contexts"], options["seed"])
    lines = rows.select(["text", "context_bytes"]).take(pa.array(places)).to_pydict()
    told = zip(context[places], continuation, lines["text"], lines["context_bytes"], strict=True)
    columns["template"] = [template_of(*row) for row in told]
    return Asked(columns, context[np.column_stack([places, others])], continuation)


def texts_of(context: np.ndarray, continuation: np.ndarray, bos: int | None) -> Tensor:
    """Every context of every row before the row's continuation, behind `bos` if any: (rows x contexts, length)."""
    contexts = torch.from_numpy(context.astype(np.int64)).flatten(0, 1)
    true = torch.from_numpy(continuation.astype(np.int64)).repeat_interleave(context.shape[1], dim=0)
    first = [] if bos is None else [torch.full_like(contexts[:, :1], bos)]
    return torch.cat([*first, contexts, true], dim=1)


def prior_columns(found: Forced, contexts: int, steps: int) -> dict[str, Any]:
    """Columns of the table, from the rows' own contexts, each the first of `contexts`, and the others."""
    likely, hits = (values.reshape(-1, contexts).double().numpy() for values in found)
    return {
        "log_probability": likely[:, 0].astype(np.float32),
        "prior_log_probability": likely[:, 1:].mean(axis=1).astype(np.float32),
        "prior_hits": hits[:, 1:].mean(axis=1).astype(np.float32),
        "prior_recited": (hits[:, 1:] == steps).sum(axis=1).astype(np.uint16),
    }
