"""The rows whose heads are ablated, as they stand in the shards of a sample, and the rows that lend them outputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from recite.engine.rows import Rows, donors_of, read_rows, taken, together
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
