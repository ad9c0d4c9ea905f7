"""What a model's rows of each group lose by each of its heads: mean drops, as seen and under resamples of the texts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.errors import ReciteError
from recite.outcomes import means as outcomes
from recite.outcomes.frame import Frame, read_frame
from recite.outcomes.means import Bags, bags_of
from recite.outcomes.rows import files_by_model, one_table
from recite.stages.heads.rows import ABLATED, ABLATION_ROWS
from recite.tables import read_metadata
from recite.tables.lists import as_array

ALL = "all"
"""In place of a domain: all domains of that kind of rows."""
GROUPS = (outcomes.ALL, outcomes.MEMORIZED, outcomes.HALF, outcomes.UNMEMORIZED)
"""Rows by their score, in the order of the tables."""
COLUMNS = 256
"""Heads that are summed up at once."""
DECIMALS = 9
"""Of a mean number of hits."""
MEASURES = ("hits", "log_probability")
"""What a head's importance is taken by."""
LOST = ("hits", "log_probability", "probability", "estimate")
"""What is read of each row and head."""


class Ablated(NamedTuple):
    """One model's rows without each of its heads, all or those of one group, in the order of their frame.

    shape: layers, and heads of a layer. heads: (heads,) numbers, layer x heads of a layer + head, of those that were
    ablated. share: by which share they were screened, 1 where all were ablated. steps: tokens of the continuation.
    hits: (rows, heads) int16, hits lost by each head. log_probability: the same shape, float32, log-probability lost of
    the true continuation, nats; probability: what it loses itself, which a draw meets with it; estimate: size of the
    change of its logarithm to first order.
    """

    model: str
    family: str
    parameters: int
    shape: tuple[int, int]
    heads: np.ndarray
    share: float
    steps: int
    frame: Frame
    hits: np.ndarray
    log_probability: np.ndarray
    probability: np.ndarray
    estimate: np.ndarray


class Drops(NamedTuple):
    """Mean drops of some rows, as seen and then under resamples of their texts, by head.

    distinct: texts. hits: (1 + resamples, heads), share of a continuation's tokens. log_probability: the same shape,
    nats per token. probability: of the whole continuation.
    """

    distinct: int
    hits: np.ndarray
    log_probability: np.ndarray
    probability: np.ndarray


def read_models(
    paths: Sequence[Path], drawn: Sequence[Path], options: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], Ablated]]:
    """Each model of some parts of the table, and each group of its rows: their names elsewhere, and the rows.

    `drawn` are the tables of the ablated rows, each of a model and a domain. Groups without rows are left out; one
    model is in memory at a time.
    """
    drawn_of: dict[str, list[Path]] = {}
    for path in drawn:
        drawn_of.setdefault(read_metadata(path)["options"]["model"], []).append(path)
    for parts in files_by_model(paths).values():
        read = read_ablated(parts, options)
        who = {"model": read.model, "family": read.family, "parameters": read.parameters}
        for group, part in drawn_groups(read, drawn_of[read.model]):
            yield who | {"group": group}, part


def drawn_groups(read: Ablated, drawn: Sequence[Path]) -> Iterator[tuple[str, Ablated]]:
    """The rows that were drawn for each group; ReciteError where they were not all ablated.

    Their share of the corpus is that of the sample, times that of the group's rows in the sample.
    """
    table = one_table(ABLATION_ROWS.read(path) for path in drawn).to_pandas()
    for group in GROUPS:
        part = table[table["group"] == group]
        chosen, shares = np.zeros(len(read.hits), bool), {}
        for domain, lines in part.groupby("domain", observed=True):
            rows = read.frame.starts.get(domain, slice(0))
            chosen[rows] = np.isin(read.frame.row_ids[rows], lines["row_id"])
            shares[domain] = float(lines["inclusion_probability"].iloc[0])
        if chosen.sum() != len(part):
            raise ReciteError(f"not all rows that {drawn[0].parent} names were ablated; delete it and run again.")
        if len(part):
            fractions = {domain: read.frame.fractions[domain] * share for domain, share in shares.items()}
            values = {name: getattr(read, name)[chosen] for name in LOST}
            yield group, read._replace(frame=read.frame.part(chosen)._replace(fractions=fractions), **values)


def read_ablated(paths: Sequence[Path], options: Mapping[str, Any]) -> Ablated:
    """All parts and layers of one model; ReciteError where a layer is missing or is there of other rows."""
    blocks: dict[int, list[Path]] = {}
    for path in paths:
        blocks.setdefault(read_metadata(path)["first_layer"], []).append(path)
    made = read_metadata(paths[0])
    model = made["options"]["model"]
    lost: dict[str, list[np.ndarray]] = {name: [] for name in LOST}
    heads: list[int] = []
    row_ids, whole = None, True
    for first in sorted(blocks):
        table = one_table(ABLATED.read(path) for path in blocks[first])
        order, frame = read_frame(table, model, options, whole=False)
        whole = whole and (row_ids is None or np.array_equal(frame.row_ids, row_ids))
        clean = table["clean_hits"].to_numpy()[order].astype(np.int16)
        here = read_metadata(blocks[first][0])["ablated"]
        names = ("hits", "log_probability", "estimate")
        values = {name: as_array(table[name]).reshape(len(table), len(here))[order] for name in names}
        lost["hits"].append(clean[:, None] - values["hits"].astype(np.int16))
        clean = table["clean_log_probability"].to_numpy()[order]
        lost["log_probability"].append(clean[:, None] - values["log_probability"])
        lost["probability"].append(np.exp(clean)[:, None] - np.exp(values["log_probability"]))
        lost["estimate"].append(values["estimate"])
        heads += here
        row_ids = frame.row_ids
    if not whole or len(heads) != made["ablated_of_model"] or len(set(heads)) < len(heads):
        raise ReciteError(f"the layers of {model} were not all ablated on the same rows; delete them and run again.")
    return Ablated(
        model,
        made["options"]["family"],
        made["parameters"],
        (made["layers"], made["heads"]),
        np.array(heads),
        made["options"].get("share", 1.0),
        made["continuation_tokens"],
        frame,
        *(np.concatenate(parts, axis=1) for parts in lost.values()),
    )


def groups_of(read: Ablated) -> Iterator[tuple[str, str, np.ndarray]]:
    """Natural and planted rows, of all their domains and of each: (kind, domain or ALL, indices)."""
    return read.frame.by_kind(ALL)


def drops_of(read: Ablated, rows: np.ndarray, options: Mapping[str, Any]) -> Drops:
    """Mean drops of some rows; NaN in a resample that has none of them."""
    bags = bags_of(read.frame, rows, options)
    return Drops(
        bags.distinct,
        drawn_means(bags, read.hits) / read.steps,
        drawn_means(bags, read.log_probability) / read.steps,
        drawn_means(bags, read.probability),
    )


def drawn_means(bags: Bags, values: np.ndarray) -> np.ndarray:
    """Means of `values` (rows of the model, heads) as seen and under resamples, (1 + resamples, heads)."""
    return np.concatenate([bags.means(bags.sums(block)) for block in blocks(values)], axis=1)


def weighted_means(bags: Bags, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The same under weights of the bags, (weights, bags), each with some that are not 0: (weights, heads)."""
    sizes = (weights @ bags.sizes)[:, None]
    return np.concatenate([weights @ bags.sums(block) / sizes for block in blocks(values)], axis=1)


def blocks(values: np.ndarray) -> list[np.ndarray]:
    """Some columns at a time, so that no more are held as sums."""
    return np.split(values, range(COLUMNS, values.shape[1], COLUMNS), axis=1)


def ranks(hits: np.ndarray, log_probability: np.ndarray, measure: str) -> np.ndarray:
    """Ranks of the ablated heads, from 0, by their mean drops, all three (draws, heads).

    By the mean drop in hits and, of equal ones, by that in log-probability; or by log-probability alone. Means of hits
    are equal where they differ by rounding.
    """
    if measure == "hits":
        order = np.lexsort((-log_probability, -hits.round(DECIMALS)), axis=1)
    else:
        order = np.argsort(-log_probability, axis=1, kind="stable")
    found = np.empty(order.shape, np.int32)
    np.put_along_axis(found, order, np.arange(order.shape[1], dtype=np.int32)[None], axis=1)
    return found


def both_drawn(read: Ablated, bags: Bags) -> tuple[np.ndarray, np.ndarray]:
    """Mean drops in hits and in log-probability by `drawn_means`; as seen where a resample has none of the rows."""
    means = (drawn_means(bags, values) for values in (read.hits, read.log_probability))
    hits, log_probability = (np.where(np.isnan(drawn), drawn[:1], drawn) for drawn in means)
    return hits, log_probability
