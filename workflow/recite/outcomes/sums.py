"""Sums over bags of a model's rows that are read domain by domain: one domain's columns are in memory at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from recite.outcomes.means import Bags
from recite.outcomes.rows import Outcomes, one_table, order_of
from recite.tables import Table
from recite.tables.lists import as_array


class Block(NamedTuple):
    """The rows of one domain: where they stand among the model's, and column -> (rows, numbers)."""

    rows: slice
    columns: dict[str, np.ndarray]


def read_blocks(
    table: Table, paths: Sequence[Path], names: Sequence[str], outcomes: Outcomes, more: bool = False
) -> Iterator[Block]:
    """Columns of lists of a model's rows, in the order of `outcomes`; ReciteError for other rows.

    A domain is handed on as soon as all of its rows are read. The files may hold `more` rows, which are passed over.
    """
    ids = one_table(table.read(path, ["row_id", "domain"]) for path in paths)
    chosen = np.isin(ids["row_id"].to_numpy(), outcomes.frame.row_ids) if more else np.ones(len(ids), bool)
    order = order_of(ids.filter(pa.array(chosen)), outcomes, paths[0].parent)
    place = np.full(len(ids), -1)
    place[np.flatnonzero(chosen)[order]] = np.arange(len(order))
    del ids, order
    starts = np.array([part.start for part in outcomes.frame.starts.values()])
    waiting: dict[int, list[tuple[np.ndarray, pa.Table]]] = {}
    first = 0
    for path in paths:
        for batch in table.read_batches(path, names):
            places = place[first : first + len(batch)]
            first += len(batch)
            of_domain = np.where(places < 0, -1, np.searchsorted(starts, places, side="right") - 1)
            for domain in np.unique(of_domain[of_domain >= 0]).tolist():
                own = of_domain == domain
                part = batch if own.all() else batch.filter(pa.array(own))
                waiting.setdefault(domain, []).append((places[own], part))
                rows = [*outcomes.frame.starts.values()][domain]
                if sum(len(held) for held, _ in waiting[domain]) == rows.stop - rows.start:
                    yield _block(rows, waiting.pop(domain), names)


def _block(rows: slice, parts: Sequence[tuple[np.ndarray, pa.Table]], names: Sequence[str]) -> Block:
    """Rows of one domain in their order from parts in any."""
    columns: dict[str, np.ndarray] = {}
    for name in names:
        for places, part in parts:
            values = as_array(part[name])
            whole = columns.setdefault(name, np.empty((rows.stop - rows.start, values.shape[1]), values.dtype))
            whole[places - rows.start] = values
    return Block(rows, columns)


def summed(
    blocks: Iterable[Block], groups: Sequence[Bags], columns_of: Callable[[Mapping[str, np.ndarray]], np.ndarray]
) -> list[np.ndarray]:
    """What each bag of each group adds to each column, (bags, columns) float64 each.

    `columns_of` makes of a block's columns one array, (rows, columns). A bag's rows are of one domain and are added in
    their order, so that the sums are those of `Bags.sums` to the last bit.
    """
    sums: list[np.ndarray | None] = [None] * len(groups)
    for rows, columns in blocks:
        values = columns_of(columns)
        for number, bags in enumerate(groups):
            found = sums[number]
            if found is None:
                found = sums[number] = np.zeros((bags.bags, values.shape[1]))
            first, last = np.searchsorted(bags.rows, [rows.start, rows.stop])
            if last > first:
                own, places = bags.rows[first:last] - rows.start, bags.places[first:last]
                low, high = int(places.min()), int(places.max()) + 1
                for column in range(values.shape[1]):
                    weights = values[own, column]
                    found[low:high, column] = np.bincount(places - low, weights=weights, minlength=high - low)
    return [found for found in sums if found is not None]
