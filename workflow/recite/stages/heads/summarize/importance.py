"""What a model's rows of each group lose by each of its heads: mean drops, as seen and under resamples of the texts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.errors import ReciteError
from recite.files import hash64
from recite.outcomes.means import ALL as ALL_ROWS
from recite.outcomes.means import HALF, MEMORIZED, UNMEMORIZED, Bags, bags_of
from recite.outcomes.rows import NATURAL, PLANTED, by_domain, files_by_model, one_table, rows_of
from recite.stages.heads.rows import ABLATED, ABLATION_ROWS
from recite.tables import read_metadata
from recite.tables.lists import as_array

ALL = "all"
"""In place of a domain: all domains of that kind of rows."""
GROUPS = (ALL_ROWS, MEMORIZED, HALF, UNMEMORIZED)
"""Rows by their score, in the order of the tables."""
MEASURES = ("hits", "log_probability")
"""What a head's importance is taken by."""


class Ablated(NamedTuple):
    """One model's rows without each of its heads, all or those of one group; rows by domain, then by row id.

    shape: layers, and heads of a layer. heads: (heads,) numbers, layer x heads of a layer + head, of those that were
    ablated. share: by which share they were screened, 1 where all were ablated. steps: tokens of the continuation.
    kinds: sampled domain -> kind. starts: domain -> its rows. row_ids, texts: (rows,) ids of the rows and of their
    texts. hits: (rows, heads) int16, hits lost by each head. log_probability: the same shape, float32, log-probability
    lost of the true continuation, nats; estimate: size of its change to first order.
    """

    model: str
    family: str
    parameters: int
    shape: tuple[int, int]
    heads: np.ndarray
    share: float
    steps: int
    kinds: dict[str, str]
    starts: dict[str, slice]
    row_ids: np.ndarray
    texts: np.ndarray
    hits: np.ndarray
    log_probability: np.ndarray
    estimate: np.ndarray

    @property
    def layers(self) -> np.ndarray:
        """The layer of each ablated head, ascending."""
        return np.asarray(self.heads // self.shape[1])

    def part(self, chosen: np.ndarray) -> "Ablated":
        """The `chosen` of the rows, (rows,) bool."""
        if chosen.all():
            return self
        counts = {domain: int(chosen[rows].sum()) for domain, rows in self.starts.items()}
        ends = np.cumsum(list(counts.values()), dtype=int).tolist()
        starts = {domain: slice(end - counts[domain], end) for domain, end in zip(counts, ends, strict=True)}
        of_rows = ("row_ids", "texts", "hits", "log_probability", "estimate")
        return self._replace(
            starts={domain: part for domain, part in starts.items() if counts[domain]},
            **{name: getattr(self, name)[chosen] for name in of_rows},
        )


class Drops(NamedTuple):
    """Mean drops of some rows, as seen and then under resamples of their texts, by head.

    distinct: texts. hits: (1 + resamples, heads), share of a continuation's tokens. log_probability: the same shape,
    nats per token.
    """

    distinct: int
    hits: np.ndarray
    log_probability: np.ndarray


def read_models(
    paths: Sequence[Path], drawn: Sequence[Path], options: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], Ablated]]:
    """Each model of some parts of the table, and each group of its rows: their names elsewhere, and the rows.

    `drawn` are the tables of the ablated rows, one for each model. Groups without rows are left out; one model is in
    memory at a time.
    """
    drawn_of = {read_metadata(path)["options"]["model"]: path for path in drawn}
    for parts in files_by_model(paths).values():
        read = read_ablated(parts, options)
        for group, chosen in drawn_groups(read, drawn_of[read.model]).items():
            who = {"model": read.model, "family": read.family, "parameters": read.parameters, "group": group}
            yield who, read.part(chosen)


def drawn_groups(read: Ablated, drawn: Path) -> dict[str, np.ndarray]:
    """Group -> which of the rows were drawn for it, (rows,) bool; ReciteError where the rows are not those drawn."""
    table = ABLATION_ROWS.read(drawn, ["row_id", "domain", "group"]).to_pandas()
    found = {}
    for group in GROUPS:
        part = table[table["group"] == group]
        by_domain = {domain: rows["row_id"].to_numpy() for domain, rows in part.groupby("domain", observed=True)}
        chosen = np.zeros(len(read.row_ids), bool)
        for domain, rows in read.starts.items():
            chosen[rows] = np.isin(read.row_ids[rows], by_domain.get(domain, []))
        if chosen.sum() != len(part):
            raise ReciteError(f"not all rows that {drawn} names were ablated; delete it and run again.")
        if len(part):
            found[group] = chosen
    return found


def read_ablated(paths: Sequence[Path], options: Mapping[str, Any]) -> Ablated:
    """All parts and layers of one model; ReciteError where a layer is missing or is there of other rows."""
    blocks: dict[int, list[Path]] = {}
    for path in paths:
        blocks.setdefault(read_metadata(path)["first_layer"], []).append(path)
    made = read_metadata(paths[0])
    model = made["options"]["model"]
    kinds = options["kinds"][options["corpora"][model]]
    lost: dict[str, list[np.ndarray]] = {"hits": [], "log_probability": [], "estimate": []}
    heads: list[int] = []
    row_ids, whole = None, True
    for first in sorted(blocks):
        table = one_table(ABLATED.read(path) for path in blocks[first])
        order, starts = by_domain(table, kinds, model)
        found, texts = (table[name].to_numpy()[order] for name in ("row_id", "sequence_id"))
        whole = whole and (row_ids is None or np.array_equal(found, row_ids))
        clean = table["clean_hits"].to_numpy()[order].astype(np.int16)
        here = read_metadata(blocks[first][0])["ablated"]
        values = {name: as_array(table[name]).reshape(len(table), len(here))[order] for name in lost}
        lost["hits"].append(clean[:, None] - values["hits"].astype(np.int16))
        clean = table["clean_log_probability"].to_numpy()[order]
        lost["log_probability"].append(clean[:, None] - values["log_probability"])
        lost["estimate"].append(values["estimate"])
        heads += here
        row_ids = found
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
        kinds,
        starts,
        found,
        texts,
        *(np.concatenate(parts, axis=1) for parts in lost.values()),
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
        weighted_means(bags, weights, read.hits, read.layers) / read.steps,
        weighted_means(bags, weights, read.log_probability, read.layers) / read.steps,
    )


def drawn_weights(bags: Bags, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each bag counts: once as seen, then as drawn with replacement; (1 + resamples, bags) float64."""
    count = len(bags.sizes)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.concatenate([np.ones((1, count)), drawn])


def weighted_means(bags: Bags, weights: np.ndarray, values: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """Means of `values` (rows of the model, heads) under weights of the bags, (weights, heads).

    Layer by layer, as `layers` (heads,) has them, ascending: the sums do not depend on how many layers a job had.
    """
    sizes = weights @ bags.sizes
    blocks = np.split(values, np.flatnonzero(np.diff(layers)) + 1, axis=1)
    return np.concatenate([weights @ bags.sums(block) / sizes[:, None] for block in blocks], axis=1)


def ranks(read: Ablated, bags: Bags, weights: np.ndarray, measure: str) -> np.ndarray:
    """Ranks of the ablated heads, from 0, under weights of the bags, (weights, heads).

    By the mean drop in hits and, of equal ones, by that in log-probability; or by log-probability alone.
    """
    second = weighted_means(bags, weights, read.log_probability, read.layers)
    first = weighted_means(bags, weights, read.hits, read.layers) if measure == "hits" else np.zeros_like(second)
    order = np.lexsort((-second, -first), axis=1)
    return order.argsort(axis=1).astype(np.int32)
