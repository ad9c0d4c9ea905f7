"""Rows of one model drawn by class of their scores, with their tokens: read from all scores and samples of a domain."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.engine.rows import Rows, donors_of, read_rows, taken, together
from recite.outcomes.drawing import Drawn, check_same_rows, draw_by_class, places_of, read_domain
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
    def columns(self) -> dict[str, Any]:
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
        check_same_rows(domain, scores, row_ids, rows.ids)
        drawn = (choose or by_class)(domain, row_ids, hits, steps)
        places = places_of(drawn, rows.ids).tolist()
        parts.append(taken(rows, places))
        for group, part in drawn.items():
            groups += [group] * len(part.row_ids)
            shares += [part.share] * len(part.row_ids)
        if lent:
            lenders.append(taken(rows, donors_of(rows, places, options["seed"])))
    return DrawnRows(together(parts), groups, shares, together(lenders) if lent else None)
