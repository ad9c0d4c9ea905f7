"""How rows were sampled, which is how they are resampled: the sampling frame of some rows.

What a study's intervals are about is its config's `aggregation.estimand`. `corpus`: the documents of this corpus, of
which each domain's sample is a known share; documents are resampled within domains, and a census has no sampling error.
`texts`: distinct texts of a population without end; the rows of one text are one unit, and texts are resampled within
domains. Planted texts always stand for others like them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from recite.errors import ReciteError
from recite.statistics.resampling import BAGS, bag_of

NATURAL = "natural"
"""Name of the union of all domains that are neither planted nor held out."""
PLANTED = "planted"
"""Kind of the domains whose texts are planted."""
HELD_OUT = "held_out"
"""Kind of the domains that no model was trained on."""
COLUMNS = ("row_id", "sequence_id", "domain", "inclusion_probability")
"""What a table must have of every row."""
TEXTS = "texts"


class Frame(NamedTuple):
    """Rows of one model, by domain, then by row id.

    kinds: sampled domain -> kind, in the study's order. starts: domain -> its rows. Columns (rows,): row_ids, texts
    (ids of the rows' texts) and units (names of what was sampled). fractions: domain -> share of the units that is in
    the sample, 0 where there is no end of them. bags: domain -> units of its whole sample by bag, (BAGS,); none where
    the rows are not the whole sample.
    """

    corpus: str
    kinds: dict[str, str]
    starts: dict[str, slice]
    row_ids: np.ndarray
    texts: np.ndarray
    units: np.ndarray
    fractions: dict[str, float]
    bags: dict[str, np.ndarray]

    def rows_of(self, kind: str) -> np.ndarray:
        """Indices of the rows of all domains of one kind; `natural` for all that are neither planted nor held out."""
        return rows_of(kind, self.kinds, self.starts)

    def each_domain(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Every domain, and all natural domains together: name, kind and indices of the rows, if it has any."""
        for domain, part in self.starts.items():
            yield domain, self.kinds[domain], np.arange(part.start, part.stop)
        natural = self.rows_of(NATURAL)
        if len(natural):
            yield NATURAL, "mixed", natural

    def by_kind(self, all_domains: str) -> Iterator[tuple[str, str, np.ndarray]]:
        """Natural and planted rows, of `all_domains` together and of each: kind, domain and indices of the rows."""
        for kind in (NATURAL, PLANTED):
            rows = self.rows_of(kind)
            if len(rows):
                yield kind, all_domains, rows
            for domain, part in self.starts.items():
                if self.kinds[domain] == kind or (kind == NATURAL and is_natural(self.kinds[domain])):
                    yield kind, domain, np.arange(part.start, part.stop)

    def part(self, chosen: np.ndarray) -> "Frame":
        """The `chosen` rows, (rows,) bool, as a smaller sample: taken from each domain's as if at random."""
        starts, fractions, first = {}, {}, 0
        for domain, part in self.starts.items():
            count = int(chosen[part].sum())
            if count:
                starts[domain] = slice(first, first + count)
                fractions[domain] = self.fractions[domain] * count / (part.stop - part.start)
                first += count
        row_ids, texts, units = (column[chosen] for column in (self.row_ids, self.texts, self.units))
        bags = {domain: _units_by_bag(units[part]) for domain, part in starts.items()} if self.bags else {}
        return Frame(self.corpus, self.kinds, starts, row_ids, texts, units, fractions, bags)

    def domains_of(self, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """The domains of some rows, ascending indices, each with the places of its own among them."""
        for domain, part in self.starts.items():
            first, last = np.searchsorted(rows, [part.start, part.stop])
            if last > first:
                yield domain, np.arange(first, last)


def read_frame(table: pa.Table, model: str, options: Mapping[str, Any], whole: bool = True) -> tuple[np.ndarray, Frame]:
    """The order of a table's rows that is by domain, then by row id, and their frame in that order.

    `table` has COLUMNS, of the `whole` sample or of some rows of it; `options` are the study's aggregation options:
    `corpora` (model -> corpus), `kinds` (corpus -> domain -> kind) and `estimand`. ReciteError for a row that is there
    twice, or of a domain that is not sampled.
    """
    corpus = options["corpora"][model]
    kinds = options["kinds"][corpus]
    order, starts = by_domain(table, kinds, model)
    ids, texts, shares = (table[name].to_numpy()[order] for name in ("row_id", "sequence_id", "inclusion_probability"))
    units, fractions = ids.copy(), {}
    for domain, part in starts.items():
        endless = options["estimand"] == TEXTS or kinds[domain] == PLANTED
        fractions[domain] = 0.0 if endless else float(shares[part][0])
        if endless:
            units[part] = _first_of_text(ids[part], texts[part])
    bags = {domain: _units_by_bag(units[part]) for domain, part in starts.items()} if whole else {}
    return order, Frame(corpus, kinds, starts, ids, texts, units, fractions, bags)


def places_of(frame: Frame, table: pd.DataFrame) -> np.ndarray:
    """Where the rows of a table, with row_id and domain, stand among a frame's, or would stand: (rows,) indices."""
    places = np.zeros(len(table), np.int64)
    for domain, part in frame.starts.items():
        own = (table["domain"] == domain).to_numpy()
        found = np.searchsorted(frame.row_ids[part], table["row_id"].to_numpy()[own])
        places[own] = part.start + np.minimum(found, part.stop - part.start - 1)
    return places


def _units_by_bag(units: np.ndarray) -> np.ndarray:
    """How many units fall into each bag, (BAGS,), from each row's."""
    return np.bincount(bag_of(np.unique(units)), minlength=BAGS)


def _first_of_text(ids: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """The lowest row id of each row's text in its domain: families that cut texts otherwise mostly name them alike."""
    _, first, places = np.unique(texts, return_index=True, return_inverse=True)
    return np.asarray(ids[first][places])


def by_domain(rows: pa.Table, kinds: Mapping[str, str], model: str) -> tuple[np.ndarray, dict[str, slice]]:
    """The order of a model's rows by domain, as in `kinds`, then by row id; and each domain's rows in that order.

    `rows` has the columns row_id and domain. ReciteError for a row that is there twice, or of a domain not in `kinds`.
    """
    places, row_ids = _places(rows["domain"], kinds), rows["row_id"].to_numpy()
    order = np.lexsort((row_ids, places))
    row_ids, places = row_ids[order], places[order]
    twice = np.flatnonzero((row_ids[1:] == row_ids[:-1]) & (places[1:] == places[:-1]))
    if len(twice):
        raise ReciteError(f"row {row_ids[twice[0]]} of {model} is scored twice; delete its scores and run again.")
    edges = np.searchsorted(places, np.arange(len(kinds) + 1))
    starts = {domain: slice(int(edges[i]), int(edges[i + 1])) for i, domain in enumerate(kinds)}
    return order, {domain: part for domain, part in starts.items() if part.stop > part.start}


def rows_of(kind: str, kinds: Mapping[str, str], starts: Mapping[str, slice]) -> np.ndarray:
    """Indices of the rows of all domains of one kind; `natural` for all that are neither planted nor held out."""
    chosen = [
        part
        for domain, part in starts.items()
        if kinds[domain] == kind or (kind == NATURAL and is_natural(kinds[domain]))
    ]
    return np.concatenate([np.arange(part.start, part.stop) for part in chosen] or [np.zeros(0, np.int64)])


def is_natural(kind: str) -> bool:
    """Whether domains of a kind count among the natural ones."""
    return kind not in (PLANTED, HELD_OUT)


def _places(domains: pa.ChunkedArray, kinds: Mapping[str, str]) -> np.ndarray:
    """Each row's domain as its place among `kinds`."""
    known = {domain: place for place, domain in enumerate(kinds)}
    names, codes = np.zeros(0, np.int16), []
    for chunk in domains.chunks:
        for name in chunk.dictionary.to_pylist():
            if name not in known:
                raise ReciteError(f"scores hold rows of domain {name}, which the study does not sample.")
        names = np.array([known[name] for name in chunk.dictionary.to_pylist()], np.int16)
        codes.append(names[chunk.indices.to_numpy()])
    return np.concatenate(codes) if codes else names
