"""Which rows of a model are ablated: so many of each class of scores, drawn at random, and the first of each domain."""

from collections.abc import Mapping, Sequence
from heapq import nsmallest
from pathlib import Path
from typing import Any

import numpy as np

from recite.files import hash64
from recite.outcomes.means import ALL, classes
from recite.outcomes.rows import one_table
from recite.stages.heads.rows import ABLATION_ROWS
from recite.stages.scoring.rows import SCORES
from recite.tables import read_metadata


def draw_rows(options: Mapping[str, Any], scores: Sequence[Path], drawn: Path) -> None:
    """Write the rows of one domain that are ablated under a model, by group and row id; a row may be in several groups.

    `options` holds `domain`, `first` (how many of its rows whatever their class, as they stand in `scores`) and
    `classes` (class -> how many rows of it); with classes their thresholds, too, and the seed. Where there are fewer,
    all of them are taken.
    """
    table = one_table(SCORES.read(path, ["row_id", "domain", "hits"]) for path in scores)
    row_ids, hits = (table[name].to_numpy() for name in ("row_id", "hits"))
    members = {ALL: np.ones(len(hits), bool)}
    if options["classes"]:
        members |= classes(hits, read_metadata(scores[0])["continuation_tokens"], options)
    here = np.array(table["domain"].to_pylist(), dtype=object) == options["domain"]
    columns: dict[str, list[Any]] = {name: [] for name in ABLATION_ROWS.names}
    for group, count in {ALL: options["first"], **options["classes"]}.items():
        given = row_ids[here & members[group]].tolist()
        chosen = given[:count] if group == ALL else draw(given, count, options["seed"])
        columns["row_id"] += sorted(chosen)
        columns["domain"] += [options["domain"]] * len(chosen)
        columns["group"] += [group] * len(chosen)
        columns["inclusion_probability"] += [len(chosen) / max(1, len(given))] * len(chosen)
    ABLATION_ROWS.write(drawn, columns, {"options": dict(options)})


def draw(row_ids: Sequence[int], count: int, seed: int) -> list[int]:
    """Those of the smallest hashes of (seed, row id): whatever the order of the rows, and the classes beside theirs."""
    return nsmallest(count, row_ids, key=lambda row_id: hash64(seed, "ablation rows", row_id))
