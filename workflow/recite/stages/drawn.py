"""Rows of one model drawn by class of their scores, with their tokens: read from all scores and samples of a domain."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.engine.rows import Rows, donors_of, read_rows, taken, together
from recite.errors import ReciteError
from recite.outcomes.drawing import Drawn, draw_by_class, read_domain
from recite.stages.scoring.rows import SCORES

Choose = Callable[[str, np.ndarray, np.ndarray, int], Mapping[str, Drawn]]
"""A domain, its row ids and their hits, and the tokens of a continuation: class -> rows."""


class DrawnRows(NamedTuple):
    """Drawn rows, by domain, class and row id; a row that is of two classes is there twice.

    groups: the class of each. shares: of the class's scored rows in the domain, the share that was drawn. donors: for
    each another row of its domain; None unless asked for.
    """

    rows: Rows
    groups: list[str]
    shares: list[float]
    donors: Rows | None

    @property
    def columns(self) -> dict[str, list[Any]]:
        """What a table says of each row."""
        return {
            "row_id": self.rows.ids,
            "sequence_id": self.rows.sequences,
            "domain": self.rows.domains,
            "inclusion_probability": self.rows.probabilities,
            "group": self.groups,
            "drawn_share": self.shares,
        }


def read_drawn(
    scores: Sequence[Path],
    shards: Sequence[Path],
    options: Mapping[str, Any],
    lent: bool = False,
    choose: Choose | None = None,
) -> DrawnRows:
    """Rows of each of `options["classes"]` in each of its `domains`, all of whose rows `scores` and `shards` hold.

    `options` hold the thresholds of the classes and the seed, too; `choose` draws otherwise. With `lent` each row has a
    donor. ReciteError where scores and samples do not hold the same rows.
    """

    def by_class(_: str, row_ids: np.ndarray, hits: np.ndarray, steps: int) -> Mapping[str, Drawn]:
        return draw_by_class(row_ids, hits, steps, options)

    sampled: dict[str, list[Rows]] = {domain: [] for domain in options["domains"]}
    for path in shards:
        shard = read_rows([path])
        sampled[shard.domains[0]].append(shard)
    parts, lenders, groups, shares = [], [], [], []
    for domain, found in sampled.items():
        rows = together(found)
        row_ids, hits, steps = read_domain(scores, SCORES, domain)
        ids = np.array(rows.ids, np.uint64)
        if not np.array_equal(np.sort(row_ids), np.sort(ids)):
            raise ReciteError(
                f"{scores[0].parent} scores other rows of {domain} than its samples hold; delete it and run again."
            )
        order = np.argsort(ids)
        for group, drawn in (choose or by_class)(domain, row_ids, hits, steps).items():
            chosen = np.array(drawn.row_ids, np.uint64)
            places = order[np.searchsorted(ids[order], chosen)].tolist()
            parts.append(taken(rows, places))
            groups += [group] * len(places)
            shares += [drawn.share] * len(places)
            if lent:
                lenders.append(taken(rows, donors_of(rows, places, options["seed"])))
    return DrawnRows(together(parts), groups, shares, together(lenders) if lent else None)
