"""Rows drawn by class of their scores: what is rare, such as what is recited, is measured on rows enough."""

from collections.abc import Iterator, Mapping, Sequence
from heapq import nsmallest
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.corpora.tables.samples import SAMPLES
from recite.errors import ReciteError
from recite.files import hash64
from recite.outcomes.means import classes
from recite.outcomes.rows import one_table
from recite.tables import Table, read_metadata

NAMED = ("row_id", "sequence_id", "domain", "inclusion_probability")
"""What names a sampled row."""


class Drawn(NamedTuple):
    """Rows drawn of a class: their ids, ascending, and which share of the class's scored rows they are."""

    row_ids: list[int]
    share: float


def read_domain(scores: Sequence[Path], table: Table, domain: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Row ids and hits of one domain's rows, as they stand in files of scores, and the tokens of a continuation."""
    rows = one_table(table.read(path, ["row_id", "domain", "hits"]) for path in scores)
    here = np.array(rows["domain"].to_pylist(), dtype=object) == domain
    row_ids, hits = (rows[name].to_numpy()[here] for name in ("row_id", "hits"))
    return row_ids, hits, read_metadata(scores[0])["continuation_tokens"]


def samples_of(domains: Sequence[str], shards: Sequence[Path], more: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """Each of some domains with NAMED and `more` columns of all its sampled rows; a shard's are of one domain."""
    of_domain: dict[str, list[Path]] = {domain: [] for domain in domains}
    for path in shards:
        of_domain[SAMPLES.read(path, ["domain"])["domain"][0].as_py()].append(path)
    for domain, paths in of_domain.items():
        parts = [SAMPLES.read(path, [*NAMED, *more]) for path in paths]
        yield domain, pa.concat_tables(parts, promote_options="default")


def draw_samples(
    domain: str,
    scores: Sequence[Path],
    table: Table,
    rows: pa.Table,
    options: Mapping[str, Any],
    others: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> tuple[np.ndarray, dict[str, list[Any]]]:
    """The rows of a domain drawn by `draw_by_class` for its scores: places among its sampled `rows`, and columns.

    The columns are NAMED, `group` and `drawn_share`. `others` are ids of rows of classes that no score makes.
    ReciteError where scores and samples do not hold the same rows.
    """
    row_ids, hits, steps = read_domain(scores, table, domain)
    sampled = rows["row_id"].to_numpy()
    check_same_rows(domain, scores, row_ids, sampled)
    members = {group: np.isin(row_ids, np.array(ids, np.uint64)) for group, ids in others.items()}
    drawn = draw_by_class(row_ids, hits, steps, options, members)
    places = places_of(drawn, sampled)
    columns = rows.select(NAMED).take(pa.array(places)).to_pydict()
    columns["group"] = [group for group, part in drawn.items() for _ in part.row_ids]
    columns["drawn_share"] = [part.share for part in drawn.values() for _ in part.row_ids]
    return places, columns


def check_same_rows(domain: str, scores: Sequence[Path], scored: np.ndarray, sampled: np.ndarray) -> None:
    """ReciteError where scores and samples do not hold the same rows of a domain, given their ids."""
    if not np.array_equal(np.sort(scored), np.sort(sampled)):
        raise ReciteError(
            f"{scores[0].parent} scores other rows of {domain} than its samples hold; delete it and run again."
        )


def places_of(drawn: Mapping[str, Drawn], sampled: np.ndarray) -> np.ndarray:
    """Where the rows of each class, one class after the other, stand among sampled rows, given their ids."""
    order = np.argsort(sampled)
    chosen = np.concatenate([np.array(part.row_ids, np.uint64) for part in drawn.values()])
    places: np.ndarray = order[np.searchsorted(sampled[order], chosen)]
    return places


def draw_by_class(
    row_ids: np.ndarray,
    hits: np.ndarray,
    steps: int,
    options: Mapping[str, Any],
    others: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> dict[str, Drawn]:
    """The rows of one domain drawn for each of `options["classes"]` (class -> how many; all if there are fewer).

    `options` hold the thresholds of the classes and the seed, too. `others` are members, (rows,) bool, of classes that
    no score makes.
    """
    members = {**classes(hits, steps, options), **others}
    found = {}
    for group, count in options["classes"].items():
        given = row_ids[members[group]].tolist()
        found[group] = drawn_of(draw(given, count, options["seed"]), len(given))
    return found


def drawn_of(chosen: Sequence[int], given: int) -> Drawn:
    """Some rows as drawn from `given`."""
    return Drawn(sorted(chosen), len(chosen) / max(1, given))


def draw(row_ids: Sequence[int], count: int, seed: int) -> list[int]:
    """Those of the smallest hashes of (seed, row id): whatever the order of the rows, and the classes beside theirs."""
    return nsmallest(count, row_ids, key=lambda row_id: hash64(seed, "ablation rows", row_id))
