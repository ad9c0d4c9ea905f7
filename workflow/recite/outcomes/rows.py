"""Scores of one model as columns of numbers, put in one order whatever files they came from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.errors import ReciteError
from recite.tables import Table, read_metadata

NATURAL = "natural"
"""Name of the union of all domains that are not planted."""
PLANTED = "planted"
"""Kind of the domains whose texts are planted."""
COLUMNS = ("row_id", "sequence_id", "domain", "hits", "margin")


class Run(NamedTuple):
    """One model under one disturbance at most; layer and strength are 0 where it is undisturbed."""

    model: str
    noise_layer: int = 0
    alpha: float = 0.0


class Outcomes(NamedTuple):
    """What one model made of its rows, under one disturbance at most; rows by domain, then by row id.

    noise_layer, alpha: disturbed layer and noise strength, both 0 where undisturbed. steps: tokens of the continuation.
    kinds: sampled domain -> kind, in the study's order. starts: domain -> its rows. Columns (rows,): row_ids, texts
    (ids of the rows' texts), hits, and at_risk (whether the smallest margin is under the dtype's noise).
    """

    model: str
    family: str
    parameters: int
    noise_layer: int
    alpha: float
    steps: int
    kinds: dict[str, str]
    starts: dict[str, slice]
    row_ids: np.ndarray
    texts: np.ndarray
    hits: np.ndarray
    at_risk: np.ndarray

    def memorized(self, options: Mapping[str, Any]) -> np.ndarray:
        """Which rows have a score of `options["memorized"]` or above."""
        return self.hits / self.steps >= options["memorized"]

    def rows_of(self, kind: str) -> np.ndarray:
        """Indices of the rows of all domains of one kind; `natural` for all that are not planted."""
        return rows_of(kind, self.kinds, self.starts)


def files_by_model(paths: Sequence[Path]) -> dict[Run, list[Path]]:
    """Files of scores by model, disturbed layer and strength; ReciteError where one name stands for two models."""
    found: dict[Run, list[Path]] = {}
    parameters: dict[str, tuple[Any, ...]] = {}
    for path in paths:
        made = read_metadata(path)
        model = made["options"]["model"]
        kind = made["options"]["family"], made["parameters"], made["continuation_tokens"]
        if parameters.setdefault(model, kind) != kind:
            raise ReciteError(f"scores of {model} come from different models of that name; delete them and run again.")
        found.setdefault(_run(made), []).append(path)
    return {key: found[key] for key in sorted(found)}


def _run(made: Mapping[str, Any]) -> Run:
    """The run that a file's metadata tell of."""
    layer = made["options"]["noise"]["layer"] if "alpha" in made else 0
    return Run(made["options"]["model"], layer, made.get("alpha", 0.0))


def read_outcomes(paths: Sequence[Path], table: Table, options: Mapping[str, Any]) -> Outcomes:
    """All scores of one model and strength; ReciteError for a row scored twice, or of a domain that is not sampled.

    `options` are the study's aggregation options: `corpora` (model -> corpus), `kinds` (corpus -> domain -> kind) and
    `margin_tolerance` (dtype -> logit).
    """
    made = read_metadata(paths[0])
    model, family = made["options"]["model"], made["options"]["family"]
    kinds = options["kinds"][options["corpora"][model]]
    parts, risks = [], []
    for path in paths:
        part = table.read(path, COLUMNS)
        risks.append(part["margin"].to_numpy() < options["margin_tolerance"][read_metadata(path)["dtype"]])
        parts.append(part.drop_columns("margin"))
    rows = one_table(parts)
    order, starts = by_domain(rows, kinds, model)
    return Outcomes(
        model,
        family,
        made["parameters"],
        *_run(made)[1:],
        made["continuation_tokens"],
        kinds,
        starts,
        rows["row_id"].to_numpy()[order],
        rows["sequence_id"].to_numpy()[order],
        rows["hits"].to_numpy()[order],
        np.concatenate(risks)[order],
    )


def one_table(parts: Iterable[pa.Table]) -> pa.Table:
    """Parts of a table as one, its columns in one piece and their names encoded alike."""
    return pa.concat_tables(parts, promote_options="default").unify_dictionaries().combine_chunks()


def order_of(table: pa.Table, outcomes: Outcomes, folder: Path) -> np.ndarray:
    """The order of a table's rows that is that of `outcomes`; ReciteError where `folder` holds other rows."""
    order, _ = by_domain(table, outcomes.kinds, outcomes.model)
    if not np.array_equal(table["row_id"].to_numpy()[order], outcomes.row_ids):
        raise ReciteError(f"{folder} holds other rows than were scored; delete it and run again.")
    return order


def each_domain(kinds: Mapping[str, str], starts: Mapping[str, slice]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Every domain, and all natural domains together: name, kind and indices of the rows, if it has any."""
    for domain, part in starts.items():
        yield domain, kinds[domain], np.arange(part.start, part.stop)
    natural = rows_of(NATURAL, kinds, starts)
    if len(natural):
        yield NATURAL, "mixed", natural


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
    """Indices of the rows of all domains of one kind; `natural` for all that are not planted."""
    chosen = [
        part
        for domain, part in starts.items()
        if kinds[domain] == kind or (kind == NATURAL and kinds[domain] != PLANTED)
    ]
    return np.concatenate([np.arange(part.start, part.stop) for part in chosen] or [np.zeros(0, np.int64)])


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
