"""The rows whose heads are ablated, as they stand in the shards of a sample, and the rows that lend them outputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from recite.engine.rows import Rows, donors_of, read_rows, taken, together
from recite.stages.heads.rows import ABLATION_ROWS, OPEN_HEADS

Heads = tuple[int, ...]
"""Numbers of heads: heads of a layer x layer + head of the layer."""


class Chosen(NamedTuple):
    """The drawn rows of some shards, in their order, and for each another row of its shard; None without a seed.

    groups: the names of the groups that each row was drawn for, joined.
    """

    rows: Rows
    donors: Rows | None
    groups: list[tuple[str, ...]]


def read_chosen(
    shards: Sequence[Path], drawn: Sequence[Path], seed: int | None = None, round_: int | None = None
) -> Chosen:
    """The rows of sample shards that the tables of ablated rows name, each once; with `seed` their donors, too.

    Or those of one round: a row that is drawn for several groups is run in the first of its rounds.
    """
    tables = [ABLATION_ROWS.read(path, ["row_id", "domain", "group", "round"]) for path in drawn]
    named = pa.concat_tables(tables, promote_options="default").to_pandas()
    named = named.astype({"domain": str, "group": str}).sort_values("round", kind="stable")
    first = named.groupby(["domain", "row_id"])["round"].transform("min")
    named = named[named["round"] == first]
    if round_ is not None:
        named = named[named["round"] == round_]
    groups: dict[tuple[str, int], tuple[str, ...]] = {}
    for domain, row_id, group in zip(named["domain"], named["row_id"].tolist(), named["group"], strict=True):
        groups[domain, row_id] = (*groups.get((domain, row_id), ()), group)
    rows, donors = [], []
    for path in shards:
        shard = read_rows([path])
        places = [at for at, row_id in enumerate(shard.ids.tolist()) if (shard.domains[0], row_id) in groups]
        rows.append(taken(shard, places))
        if seed is not None:
            donors.append(taken(shard, donors_of(shard, places, seed)))
    found = together(rows)
    of_rows = [groups[key] for key in zip(found.domains.tolist(), found.ids.tolist(), strict=True)]
    return Chosen(found, together(donors) if donors else None, of_rows)


def heads_of_rows(chosen: Chosen, open_heads: Path | None, every: range) -> dict[Heads, list[int]]:
    """The rows that are run without the same heads: numbers of these, of `every`, and the rows' places.

    All of them without a table of open heads; else those that are open for the row's domain and its group, or, if it is
    of several, one of them.
    """
    if open_heads is None:
        return {tuple(every): [*range(len(chosen.rows.ids))]}
    table = OPEN_HEADS.read(open_heads).to_pandas()
    table = table[table["open"] & table["head"].between(every.start, every.stop - 1)]
    of_group = {key: part["head"].tolist() for key, part in table.groupby(["domain", "group"])}
    found: dict[Heads, list[int]] = {}
    for place, (domain, groups) in enumerate(zip(chosen.rows.domains.tolist(), chosen.groups, strict=True)):
        heads = sorted({head for group in groups for head in of_group.get((domain, group), ())})
        found.setdefault(tuple(heads), []).append(place)
    return found
