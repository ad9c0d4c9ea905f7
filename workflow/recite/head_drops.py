"""What a model's rows lose by each of its heads: mean drops, as seen and under resamples of the texts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.errors import ReciteError
from recite.files import hash64
from recite.layer_means import Bags, bags_of
from recite.outcomes import NATURAL, PLANTED, by_domain, files_by_model, rows_of
from recite.tables import read_metadata
from recite.tables.ablation import ABLATED
from recite.tables.lists import as_array

ALL = "all"
"""In place of a domain: all domains of that kind of rows."""


class Ablated(NamedTuple):
    """One model's rows without each of its heads; rows by domain, then by row id.

    shape: layers, and heads of a layer. steps: tokens of the continuation. kinds: sampled domain -> kind.
    starts: domain -> its rows. texts: (rows,) ids of the rows' texts. hits: (rows, layers x heads) int16, hits lost by
    each head. log_probability: the same shape, float32, log-probability lost of the true continuation, nats.
    """

    model: str
    family: str
    parameters: int
    shape: tuple[int, int]
    steps: int
    kinds: dict[str, str]
    starts: dict[str, slice]
    texts: np.ndarray
    hits: np.ndarray
    log_probability: np.ndarray


class Drops(NamedTuple):
    """Mean drops of some rows, as seen and then under resamples of their texts, by head.

    distinct: texts. hits: (1 + resamples, heads), share of a continuation's tokens. log_probability: the same shape,
    nats per token.
    """

    distinct: int
    hits: np.ndarray
    log_probability: np.ndarray


def read_models(paths: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Ablated]]:
    """Each model of some parts of the table: its name elsewhere, and its rows; one is in memory at a time."""
    for parts in files_by_model(paths).values():
        read = read_ablated(parts, options)
        yield {"model": read.model, "family": read.family, "parameters": read.parameters}, read


def read_ablated(paths: Sequence[Path], options: Mapping[str, Any]) -> Ablated:
    """All parts and layers of one model; ReciteError where a layer is missing or is there of other rows."""
    blocks: dict[int, list[Path]] = {}
    for path in paths:
        blocks.setdefault(read_metadata(path)["first_layer"], []).append(path)
    made = read_metadata(paths[0])
    model, heads = made["options"]["model"], made["heads"]
    kinds = options["kinds"][options["corpora"][model]]
    hits: list[np.ndarray] = []
    log_probability: list[np.ndarray] = []
    columns, row_ids, whole = 0, None, True
    for first in sorted(blocks):
        parts = [ABLATED.read(path) for path in blocks[first]]
        table = pa.concat_tables(parts, promote_options="default").unify_dictionaries().combine_chunks()
        order, starts = by_domain(table, kinds, model)
        found, texts = (table[name].to_numpy()[order] for name in ("row_id", "sequence_id"))
        whole = whole and columns == first * heads and (row_ids is None or np.array_equal(found, row_ids))
        clean = table["clean_hits"].to_numpy()[order].astype(np.int16)
        hits.append(clean[:, None] - as_array(table["hits"])[order].astype(np.int16))
        clean = table["clean_log_probability"].to_numpy()[order]
        log_probability.append(clean[:, None] - as_array(table["log_probability"])[order])
        row_ids, columns = found, columns + hits[-1].shape[1]
    if not whole or columns != made["layers"] * heads:
        raise ReciteError(f"the layers of {model} were not all ablated on the same rows; delete them and run again.")
    return Ablated(
        model,
        made["options"]["family"],
        made["parameters"],
        (made["layers"], heads),
        made["continuation_tokens"],
        kinds,
        starts,
        texts,
        np.concatenate(hits, axis=1),
        np.concatenate(log_probability, axis=1),
    )


def groups_of(read: Ablated) -> Iterator[tuple[str, str, np.ndarray]]:
    """Natural and planted rows, of all their domains and of each: (kind, domain or ALL, indices)."""
    for kind in (NATURAL, PLANTED):
        rows = rows_of(kind, read.kinds, read.starts)
        if len(rows):
            yield kind, ALL, rows
        for domain, part in read.starts.items():
            if (read.kinds[domain] == PLANTED) == (kind == PLANTED):
                yield kind, domain, np.arange(part.start, part.stop)


def drops_of(read: Ablated, rows: np.ndarray, options: Mapping[str, Any], *names: str) -> Drops:
    """Mean drops of some rows; `names` are what the resamples are drawn for."""
    bags = bags_of(read.texts, rows)
    rng = np.random.default_rng(hash64(options["seed"], "ablation", read.model, *names))
    weights = drawn_weights(bags, options["resamples"], rng)
    return Drops(
        bags.distinct,
        weighted_means(bags, weights, read.hits, read.shape) / read.steps,
        weighted_means(bags, weights, read.log_probability, read.shape) / read.steps,
    )


def drawn_weights(bags: Bags, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each bag counts: once as seen, then as drawn with replacement; (1 + resamples, bags) float64."""
    count = len(bags.sizes)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.concatenate([np.ones((1, count)), drawn])


def weighted_means(bags: Bags, weights: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Means of `values` (rows of the model, layers x heads) under weights of the bags, (weights, layers x heads).

    Layer by layer: the sums do not depend on how many layers a job had.
    """
    layers, heads = shape
    sizes = weights @ bags.sizes
    parts = [
        weights @ bags.sums(values[:, layer * heads : (layer + 1) * heads]) / sizes[:, None] for layer in range(layers)
    ]
    return np.concatenate(parts, axis=1)
