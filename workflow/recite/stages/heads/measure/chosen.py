"""The rows whose heads are ablated, as they stand in the shards of a sample, and the rows that lend them outputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from recite.engine.rows import Rows, read_rows, taken, together
from recite.errors import ReciteError
from recite.files import hash64
from recite.stages.heads.rows import ABLATION_ROWS


class Chosen(NamedTuple):
    """The drawn rows of some shards, in their order, and for each another row of its shard; None without a seed."""

    rows: Rows
    donors: Rows | None


def read_chosen(shards: Sequence[Path], drawn: Sequence[Path], seed: int | None = None) -> Chosen:
    """The rows of sample shards that the tables of ablated rows name, each once; with `seed` their donors, too."""
    named = pa.concat_tables([ABLATION_ROWS.read(path, ["row_id", "domain"]) for path in drawn])
    row_ids, domains = named["row_id"].to_numpy(), np.array(named["domain"].to_pylist(), dtype=object)
    rows, donors = [], []
    for path in shards:
        shard = read_rows([path])
        ids = np.array(shard.ids, np.uint64)
        places = np.flatnonzero(np.isin(ids, row_ids[domains == shard.domains[0]])).tolist()
        rows.append(taken(shard, places))
        if seed is not None:
            donors.append(taken(shard, donors_of(shard, places, seed)))
    return Chosen(together(rows), together(donors) if donors else None)


def donors_of(shard: Rows, places: Sequence[int], seed: int) -> list[int]:
    """For some rows of a shard the places of other ones, whose heads' outputs they are given.

    The rows of the shard stand in a circle by the hash of (seed, row id), and each takes the next that has another
    text: no other shard, no other job and no other ablated row changes a row's donor.
    """
    if len(places) and len(set(shard.sequences)) == 1:
        raise ReciteError(
            f"all rows of a shard of domain {shard.domains[0]} have the same text, so that none can be given "
            "another one's head outputs; choose larger shards or another replacement."
        )
    circle = sorted(range(len(shard.ids)), key=lambda row: hash64(seed, "donor", shard.ids[row]))
    at = {row: place for place, row in enumerate(circle)}
    found = []
    for row in places:
        place = at[row] + 1
        while shard.sequences[circle[place % len(circle)]] == shard.sequences[row]:
            place += 1
        found.append(circle[place % len(circle)])
    return found
