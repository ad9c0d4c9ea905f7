"""Rows drawn by class of their scores: what is rare, such as what is recited, is measured on rows enough."""

from collections.abc import Mapping, Sequence
from heapq import nsmallest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.files import hash64
from recite.outcomes.means import classes
from recite.outcomes.rows import one_table
from recite.tables import Table, read_metadata


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


def draw_by_class(row_ids: np.ndarray, hits: np.ndarray, steps: int, options: Mapping[str, Any]) -> dict[str, Drawn]:
    """The rows of one domain drawn for each of `options["classes"]` (class -> how many; all if there are fewer).

    `options` hold the thresholds of the classes and the seed, too.
    """
    members = classes(hits, steps, options)
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
