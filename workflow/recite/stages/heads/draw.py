"""Which rows of a model are ablated: so many of each class of scores, drawn at random, and the first of each domain."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recite.outcomes.drawing import draw, draw_by_class, drawn_of, read_domain
from recite.outcomes.means import ALL
from recite.stages.heads.rows import ABLATION_ROWS
from recite.stages.scoring.rows import SCORES


def draw_rows(options: Mapping[str, Any], scores: Sequence[Path], drawn: Path) -> None:
    """Write the rows of one domain that are ablated under a model, by group and row id; a row may be in several groups.

    `options` holds `domain`, `first` (how many of its rows whatever their class, as they stand in `scores`) and
    `classes` (class -> how many rows of it); with classes their thresholds, too, and the seed. Where there are fewer,
    all of them are taken. With `looks`, ascending, a row is of the round that begins with so many rows of its group:
    the first of the domain as they stand, those of a class by the hash that drew them.
    """
    row_ids, hits, steps = read_domain(scores, SCORES, options["domain"])
    first = row_ids[: options["first"]].tolist()
    found = {ALL: drawn_of(first, len(row_ids))}
    orders = {ALL: first}
    if options["classes"]:
        by_class = draw_by_class(row_ids, hits, steps, options)
        found |= by_class
        orders |= {name: draw(rows.row_ids, len(rows.row_ids), options["seed"]) for name, rows in by_class.items()}
    columns: dict[str, list[Any]] = {name: [] for name in ABLATION_ROWS.names}
    for group, rows in found.items():
        rounds = {row: bisect_right(options["looks"], place) for place, row in enumerate(orders[group])}
        columns["row_id"] += rows.row_ids
        columns["domain"] += [options["domain"]] * len(rows.row_ids)
        columns["group"] += [group] * len(rows.row_ids)
        columns["inclusion_probability"] += [rows.share] * len(rows.row_ids)
        columns["round"] += [rounds[row] for row in rows.row_ids]
    ABLATION_ROWS.write(drawn, columns, {"options": dict(options)})
