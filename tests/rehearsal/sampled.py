"""The rows of a rehearsed study: sample shards, and what every model makes of each row."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.corpora.tables.samples import SAMPLES
from recite.files import hash64
from recite.study.study import Study
from recite.tables.lists import as_lists
from rehearsal.planted import HALF, INCLUSION, STEPS, UNSCORED, VOCABULARY, Planted

AGAIN = 0.04
"""Share of a domain's rows whose text is that of another one."""


class Domain(NamedTuple):
    """A domain's rows in the order of their draw, (rows,): what they are, and what decides all that is made of them.

    rank: the row's place among all texts by how easily it is recited, from 0 to 1. other: which hits it has where it is
    not. Rows of equal text have both in common.
    """

    name: str
    row_ids: np.ndarray
    sequences: np.ndarray
    rank: np.ndarray
    other: np.ndarray
    tokens: np.ndarray

    def part(self, chosen: slice) -> "Domain":
        return Domain(self.name, *(column[chosen] for column in self[1:]))


class Rows(NamedTuple):
    """Rows of several domains: domains (rows,) str, place of each domain's rows, and the columns of `Domain`."""

    domains: np.ndarray
    of_domain: dict[str, slice]
    row_ids: np.ndarray
    sequences: np.ndarray
    rank: np.ndarray
    other: np.ndarray
    tokens: np.ndarray

    @property
    def names(self) -> dict[str, Any]:
        """What a table says of each row."""
        return {
            "row_id": self.row_ids,
            "sequence_id": self.sequences,
            "domain": pa.array(self.domains).dictionary_encode(),
            "inclusion_probability": np.full(len(self.row_ids), INCLUSION),
        }


@lru_cache(maxsize=32)
def domain_rows(seed: int, family: str, domain: str, rows: int) -> Domain:
    """All sampled rows of a family's domain."""
    rng = np.random.default_rng(hash64(seed, "rehearsal", family, domain))
    texts = np.where(rng.random(rows) < AGAIN, rng.integers(0, rows, rows), np.arange(rows))
    ids = rng.integers(0, 2**64, (2, rows), np.uint64, endpoint=False)
    tokens = rng.integers(3, VOCABULARY, (rows, 2 * STEPS)).astype(np.uint32)
    rank, other = rng.random((2, rows))
    return Domain(domain, ids[0], ids[1][texts], rank[texts], other[texts], tokens[texts])


def domains_of_part(study: Study, model: str, part: str) -> Iterator[Domain]:
    """The rows of each shard of one part of a model's."""
    sampling = study.config["sampling"]
    size = sampling["shard_rows"]
    for shard in study.parts(model)[part]:
        domain, _, index = shard.rpartition("-")
        whole = domain_rows(study.seed, study.models[model].family, domain, sampling["rows_per_domain"])
        yield whole.part(slice(int(index) * size, (int(index) + 1) * size))


def part_rows(study: Study, model: str, part: str) -> Rows:
    """The rows of one part of a model's, shard by shard."""
    return rows_of([*domains_of_part(study, model, part)])


def rows_of(shards: Sequence[Domain]) -> Rows:
    """The rows of some shards, those of a domain side by side."""
    edges = np.cumsum([0, *(len(one.row_ids) for one in shards)])
    of_domain: dict[str, slice] = {}
    for one, first, stop in zip(shards, edges, edges[1:], strict=False):
        known = of_domain.get(one.name, slice(int(first), 0))
        of_domain[one.name] = slice(known.start, int(stop))
    names = np.repeat(np.array([one.name for one in shards], object), np.diff(edges))
    return Rows(names, of_domain, *(np.concatenate(columns) for columns in list(zip(*shards, strict=True))[1:]))


def hits_of(planted: Planted, rows: Rows, alpha: float = 0.0) -> np.ndarray:
    """True tokens of each row's greedy continuation, (rows,) uint8; whoever is recited under noise is without."""
    rates = np.zeros(len(rows.rank))
    for domain, own in rows.of_domain.items():
        rates[own] = planted.rate(domain) * planted.left(alpha)
    between = np.floor((rows.other - UNSCORED - HALF) / (1 - UNSCORED - HALF) * (STEPS - 1)) + 1
    hits = np.where(rows.other < UNSCORED, 0, np.where(rows.other < UNSCORED + HALF, STEPS // 2, between))
    return np.where(rows.rank < rates, STEPS, hits).astype(np.uint8)


def score_columns(rows: Rows, hits: np.ndarray) -> dict[str, Any]:
    """Columns of the table of scores: the leading tokens are the true ones."""
    true = rows.tokens[:, STEPS:]
    wrong = (true + 1) % VOCABULARY
    generated = np.where(np.arange(STEPS) < hits[:, None], true, wrong).astype(np.uint32)
    margin = (0.05 + 2 * ((rows.rank * 7919) % 1)).astype(np.float32)
    return rows.names | {"hits": hits, "first_mismatch": hits, "generated": as_lists(generated), "margin": margin}


def write_samples(study: Study, folder: Path) -> None:
    """The sample shards of every family; texts are numbers, a word a token."""
    sampling = study.config["sampling"]
    size = sampling["shard_rows"]
    for family, first in study.families.items():
        for domain in study.domains[first.corpus]:
            whole = domain_rows(study.seed, family, domain, sampling["rows_per_domain"])
            for index, shard in enumerate(study.shards_of(domain)):
                own = whole.part(slice(index * size, (index + 1) * size))
                SAMPLES.write(folder / f"samples/{family}/{shard}.parquet", sample_columns(own), {})


def sample_columns(own: Domain) -> Mapping[str, Any]:
    """Columns of a sample shard."""
    rows = len(own.row_ids)
    contexts = [" ".join(map(str, tokens)).encode() for tokens in own.tokens[:, :STEPS].tolist()]
    rests = [" ".join(map(str, tokens)).encode() for tokens in own.tokens[:, STEPS:].tolist()]
    return {
        "row_id": own.row_ids,
        "sequence_id": own.sequences,
        "domain": pa.array([own.name] * rows).dictionary_encode(),
        "document_id": pa.array(own.row_ids.astype(str)),
        "source_file": ["planted"] * rows,
        "source_row": np.arange(rows),
        "window_start": np.zeros(rows, np.int64),
        "text": [b" ".join(pair) for pair in zip(contexts, rests, strict=True)],
        "context_bytes": [len(context) for context in contexts],
        "context": as_lists(own.tokens[:, :STEPS]),
        "continuation": as_lists(own.tokens[:, STEPS:]),
        "inclusion_probability": np.full(rows, INCLUSION),
    }
