"""From rungs to curves of recall left against damage done, and to recall at equal damage.

Memorized rows and others are resampled together: the same documents, or texts, of a domain count for both.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.outcomes.frame import NATURAL, PLANTED, Frame, read_frame
from recite.outcomes.means import FEWEST, bags_of
from recite.outcomes.rows import files_by_model, one_table
from recite.stages.erasing.rows import DAMAGED, NOISE, NONE, RANDOM, RECALLED, Rung
from recite.stages.erasing.tables import ERASED, ERASING
from recite.statistics.intervals import with_ends
from recite.tables import read_metadata
from recite.tables.lists import as_array

Line = dict[str, Any]
REACHED = 0.95
"""Share of the resamples in which a ladder must do a damage: else the interval would be that of the rest."""


class Drawn(NamedTuple):
    """One model, as seen and under resamples, with the whole model first: (1 + resamples, 1 + rungs) each.

    recall: mean M. recited: share. damage: nats a token.
    """

    rungs: list[Rung]
    recall: np.ndarray
    recited: np.ndarray
    damage: np.ndarray


def aggregate_erasing(
    options: Mapping[str, Any], recalled: Sequence[Path], damaged: Sequence[Path], outputs: Mapping[str, Path]
) -> None:
    """Write the tables erasing and erased; `options` hold `damages` too. A model of too few texts has no lines."""
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    others = files_by_model(damaged)
    for key, paths in files_by_model(recalled).items():
        made = read_metadata(paths[0])
        who = {name: made["options"][name] for name in ("model", "family")} | {"parameters": made["parameters"]}
        for kind, counts, drawn in drawn_of(paths, others[key], options):
            about = who | {"rows": kind} | counts
            lines["erasing"] += [about | line for line in rung_lines(drawn, options)]
            lines["erased"] += [about | line for line in equal_lines(drawn, options)]
    for table in (ERASING, ERASED):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def drawn_of(
    recalled: Sequence[Path], damaged: Sequence[Path], options: Mapping[str, Any]
) -> Iterator[tuple[str, Line, Drawn]]:
    """Natural and planted memorized rows of one model, each beside the same other rows, where there are enough."""
    made = read_metadata(recalled[0])
    rungs = [Rung(*rung) for rung in made["rungs"]]
    steps, model = made["continuation_tokens"], made["options"]["model"]
    frame, table = _read(one_table(RECALLED.read(path) for path in recalled), model, options)
    other_frame, others = _read(one_table(DAMAGED.read(path) for path in damaged), model, options)
    everyone = np.arange(len(other_frame.row_ids))
    if not rungs or len(np.unique(other_frame.texts)) < FEWEST:
        return
    hits = _with_clean(table, "hits", len(rungs)) / steps
    likely = _with_clean(others, "log_probability", len(rungs)) / steps
    bags = bags_of(other_frame, everyone, options)
    damage = bags.means(bags.sums(likely[:, :1] - likely))
    for kind in (NATURAL, PLANTED):
        rows = frame.rows_of(kind)
        distinct = len(np.unique(frame.texts[rows]))
        if distinct < FEWEST:
            continue
        own = bags_of(frame, rows, options)
        counts = {"n": len(rows), "distinct": distinct, "others": len(everyone), "others_distinct": bags.distinct}
        recall, recited = (own.means(own.sums(values)) for values in (hits, (hits == 1).astype(float)))
        yield kind, counts, Drawn(rungs, recall, recited, damage)


def _read(table: pa.Table, model: str, options: Mapping[str, Any]) -> tuple[Frame, pa.Table]:
    """Rows of one group in the order of their frame; each domain's are a share of the corpus by sample and by draw."""
    order, frame = read_frame(table, model, options, whole=False)
    table = table.take(pa.array(order))
    shares = table["drawn_share"].to_numpy()
    fractions = {domain: frame.fractions[domain] * shares[rows.start] for domain, rows in frame.starts.items()}
    return frame._replace(fractions=fractions), table


def _with_clean(table: pa.Table, name: str, rungs: int) -> np.ndarray:
    """The whole model's numbers, then those of every rung, (rows, 1 + rungs)."""
    of_rungs = as_array(table[name]).reshape(len(table), rungs).astype(float)
    return np.column_stack([table[f"clean_{name}"].to_numpy(), of_rungs])


def rung_lines(drawn: Drawn, options: Mapping[str, Any]) -> Iterator[Line]:
    """A line a rung, and one of the whole model at the foot of each ladder."""
    for (name, order), columns in ladders(drawn.rungs).items():
        for column in columns:
            rung = drawn.rungs[column - 1] if column else Rung(name, order, 0.0, 0.0)
            line: Line = rung._asdict()
            for statistic in ("recall", "recited", "damage"):
                line |= with_ends(statistic, getattr(drawn, statistic)[:, column], options["confidence"])
            yield line


def ladders(rungs: Sequence[Rung]) -> dict[tuple[str, str], list[int]]:
    """Intervention and order -> columns of its rungs by strength, with the whole model's, 0, first."""
    found: dict[tuple[str, str], list[int]] = {}
    for column, rung in sorted(enumerate(rungs, start=1), key=lambda pair: pair[1].strength):
        found.setdefault((rung.intervention, rung.order), [0]).append(column)
    return dict(sorted(found.items()))


def equal_lines(drawn: Drawn, options: Mapping[str, Any]) -> Iterator[Line]:
    """A line for each ladder and damage: what is recited where it first does that, beside noise and random sets."""
    for wanted in options["damages"]:
        found = {
            key: [at_damage(drawn.damage[:, columns], values[:, columns], wanted) for values in drawn[1:3]]
            for key, columns in ladders(drawn.rungs).items()
        }
        nothing = np.full(len(drawn.damage), np.nan)
        for (name, order), (recall, recited) in found.items():
            beside = {"noise": found.get((NOISE, NONE)), "random": found.get((name, RANDOM))}
            line = {"intervention": name, "order": order, "damage": wanted}
            line |= with_ends("recall", recall, options["confidence"])
            line |= with_ends("recited", recited, options["confidence"])
            for other, values in beside.items():
                less = nothing if values is None or values is found[name, order] else values[0] - recall
                line |= with_ends(f"below_{other}", less, options["confidence"])
            yield line


def at_damage(damage: np.ndarray, values: np.ndarray, wanted: float) -> np.ndarray:
    """Values where a ladder first does a damage, (draws,); both (draws, rungs), as seen first, from the whole model on.

    On the straight line between that rung and the one before, which is what both give where a part of the rows, taken
    at random, is under the one and the others are under the other. NaN where no rung does as much.
    """
    reached = damage >= wanted
    above = reached.argmax(axis=1)
    draws = np.arange(len(damage))
    below = np.maximum(above - 1, 0)
    rise = damage[draws, above] - damage[draws, below]
    part = np.divide(wanted - damage[draws, below], rise, out=np.ones(len(draws)), where=rise > 0)
    between = values[draws, below] + part * (values[draws, above] - values[draws, below])
    done: np.ndarray = np.asarray(reached.any(axis=1))
    return np.where(done & done[0] & (done.mean() >= REACHED), between, np.nan)
