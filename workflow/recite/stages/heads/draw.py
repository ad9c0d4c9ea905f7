"""Which rows of a model are ablated: so many of each class of scores, drawn at random, and the first of each domain."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recite.outcomes.drawing import draw_by_class, drawn_of, read_domain
from recite.outcomes.means import ALL
from recite.stages.heads.rows import ABLATION_ROWS
from recite.stages.scoring.rows import SCORES


def draw_rows(options: Mapping[str, Any], scores: Sequence[Path], drawn: Path) -> None:
    """Write the rows of one domain that are ablated under a model, by group and row id; a row may be in several groups.

    `options` holds `domain`, `first` (how many of its rows whatever their class, as they stand in `scores`) and
    `classes` (class -> how many rows of it); with classes their thresholds, too, and the seed. Where there are fewer,
    all of them are taken.
    """
    row_ids, hits, steps = read_domain(scores, SCORES, options["domain"])
    found = {ALL: drawn_of(row_ids[: options["first"]].tolist(), len(row_ids))}
    if options["classes"]:
        found |= draw_by_class(row_ids, hits, steps, options)
    columns: dict[str, list[Any]] = {name: [] for name in ABLATION_ROWS.names}
    for group, rows in found.items():
        columns["row_id"] += rows.row_ids
        columns["domain"] += [options["domain"]] * len(rows.row_ids)
        columns["group"] += [group] * len(rows.row_ids)
        columns["inclusion_probability"] += [rows.share] * len(rows.row_ids)
    ABLATION_ROWS.write(drawn, columns, {"options": dict(options)})
