"""What is replaced first: what memorized rows of the ranking half lose most by, measured or to first order."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.finite import at_rows, refuse_non_finite
from recite.engine.likelihoods import slopes
from recite.progress import Done, unseen
from recite.stages.heads.rows import ABLATED
from recite.stages.sublayers.rows import SUBLAYERS, WITHOUT_SUBLAYERS
from recite.tables import read_metadata
from recite.tables.lists import as_array

Place = tuple[int, int]
"""A layer, and the number of a head, a sublayer or a neuron in it."""
Kept = Callable[[pa.Table, int], np.ndarray]
"""Which rows of a table rank, (rows,) bool; their texts, their hits, and the tokens of a continuation."""


class Ranking(NamedTuple):
    """places: those that can be replaced, from the most important on. total: how many the model has."""

    places: list[Place]
    total: int


def heads_by_loss(paths: Sequence[Path], kept: Kept) -> Ranking:
    """The heads by the log-probability that a row loses on average; none where no row of all `paths` ranks.

    By rows of the first round, which were run without every head.
    """
    sums: Any = 0.0
    counts: Any = 0
    for path in sorted(path for path in paths if not read_metadata(path)["options"]["round"]):
        made = read_metadata(path)
        total = made["layers"] * made["heads"]
        table = ABLATED.read(path, ["sequence_id", "clean_hits", "clean_log_probability", "heads", "log_probability"])
        table = table.filter(pa.array(kept(table, made["continuation_tokens"])))
        heads, logs = (table[name].combine_chunks().flatten().to_numpy() for name in ("heads", "log_probability"))
        of_rows = pc.list_value_length(table["heads"]).to_numpy()
        lost = np.repeat(table["clean_log_probability"].to_numpy().astype(float), of_rows) - logs
        sums = sums + np.bincount(heads, weights=lost, minlength=total)
        counts = counts + np.bincount(heads, minlength=total)
    means = sums[counts > 0] / counts[counts > 0]
    order = np.flatnonzero(counts)[np.argsort(-means, kind="stable")].tolist()
    return Ranking([divmod(number, made["heads"]) for number in order], total)


def sublayers_by_loss(paths: Sequence[Path], kept: Kept) -> Ranking:
    """The same of the attentions and MLPs, by rows without sublayers."""
    count, parts = 0, []
    for path in sorted(paths):
        table, made = WITHOUT_SUBLAYERS.read(path), read_metadata(path)
        count = made["layers"] * len(SUBLAYERS)
        parts.append(_drops(table, count)[kept(table, made["continuation_tokens"])])
    drops = np.concatenate(parts)
    order = np.argsort(-drops.sum(axis=0), kind="stable").tolist() if len(drops) else []
    return Ranking([divmod(number, len(SUBLAYERS)) for number in order], count)


def _drops(table: pa.Table, count: int) -> np.ndarray:
    """Log-probability lost by each row, (rows, count) float64, nats."""
    without = as_array(table["log_probability"]).reshape(len(table), count).astype(float)
    return np.asarray(table["clean_log_probability"].to_numpy()[:, None] - without)


def neurons_by_attribution(
    checkpoint: Checkpoint, text: Tensor, steps: int, batch_rows: int, means: Sequence[Tensor], done: Done = unseen
) -> Ranking:
    """The neurons by what rows of `text` would lose, to first order, were each at its mean.

    Gradient of the true continuation's log-probability by a neuron times the activation's distance from its mean,
    summed over positions and rows (attribution patching, Nanda 2023; of neurons: arXiv 2104.08696). One pass forward
    and one backward for all; `means` (neurons,) of each layer.
    """
    modules = [checkpoint.sublayer(layer, "mlp") for layer in range(len(checkpoint.layers))]
    totals = [torch.zeros(len(mean), dtype=torch.float64) for mean in means]
    for rows, chosen, states, gradients in slopes(checkpoint, text, steps, batch_rows, modules):
        for layer, (state, slope) in enumerate(zip(states, gradients, strict=True)):
            away = state.float() - means[layer].to(state.device)
            parts = (slope.float() * away).view(len(chosen), -1, away.shape[-1])[: rows.stop - rows.start]
            of_rows = parts.double().sum(dim=1).cpu()
            with at_rows(chosen):
                refuse_non_finite(of_rows, "gradients", checkpoint.dtype)
            totals[layer] += of_rows.sum(dim=0)
        done(rows.stop - rows.start)
    values = torch.cat(totals).numpy()
    firsts = np.cumsum([0, *map(len, means)])
    layers = np.searchsorted(firsts, np.arange(len(values)), side="right") - 1
    order = np.argsort(-values, kind="stable")
    return Ranking(
        list(zip(layers[order].tolist(), (order - firsts[layers[order]]).tolist(), strict=True)), len(values)
    )
