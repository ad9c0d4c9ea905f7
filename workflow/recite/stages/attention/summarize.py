"""From drawn rows to what classes of rows attend to, by place, layer and head, beside what cutting each place costs.

Each domain's drawn rows of a class stand for all of its rows of that class.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.corpora.planted import known_copies
from recite.errors import ReciteError
from recite.outcomes.copies import UNSEEN, copies_of, unseen_rows
from recite.outcomes.frame import NATURAL, PLANTED, places_of
from recite.outcomes.means import ALL, HALF, MEMORIZED, UNMEMORIZED, classes, totals
from recite.outcomes.rates import Line, who
from recite.outcomes.rows import Outcomes, files_by_model, one_table, read_outcomes
from recite.stages.attention.rows import ATTENDED
from recite.stages.attention.tables import ATTENTION, ATTENTION_HEADS, ATTENTION_LAYERS
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import with_ends
from recite.tables import read_metadata
from recite.tables.lists import as_array

DROPS = ("hits_drop", "log_probability_drop")
COLUMNS = 4096
"""Numbers of a row that are summed up at once, each under all resamples."""


class Drawn(NamedTuple):
    """The drawn rows of one class of a model.

    rows: their indices, ascending. mass: (rows, layers, heads, places). drops: (rows, 2, cuts), of M and of
    log-probability a token, nats.
    """

    rows: np.ndarray
    mass: np.ndarray
    drops: np.ndarray


def aggregate_attention(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    attended: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    outputs: Mapping[str, Path],
) -> None:
    """Write the tables attention, attention_layers and attention_heads.

    `planted` and `controls` are those of `recite.stages.scoring.summarize`. One model is in memory at a time.
    """
    repetitions = known_copies(planted, controls) if controls else {}
    clean = files_by_model(scores)
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for key, paths in files_by_model(attended).items():
        outcomes, made = read_outcomes(clean[key], SCORES, options), read_metadata(paths[0])
        members = classes(outcomes.hits, outcomes.steps, options) | {UNSEEN: np.zeros(len(outcomes.hits), bool)}
        members[UNSEEN][unseen_rows(outcomes.frame, copies_of(outcomes.frame, repetitions))] = True
        drawn = read_drawn(paths, outcomes, members)
        for about, rows, part in groups_of(outcomes, drawn, members):
            for name, line in place_lines(outcomes, rows, part, about["rows"] == NATURAL, options):
                lines[name].append(about | line | at_place(made, line))
    for table in (ATTENTION, ATTENTION_LAYERS, ATTENTION_HEADS):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def at_place(made: Mapping[str, Any], line: Line) -> Line:
    """The name of a line's place, and its share of even attention."""
    return {"place": made["places"][line["place"]], "even": made["even"][line["place"]]}


def read_drawn(paths: Sequence[Path], outcomes: Outcomes, members: Mapping[str, np.ndarray]) -> dict[str, Drawn]:
    """Class -> its drawn rows in one model, of its `members`, (rows,) bool; ReciteError where there are others."""
    read, made = one_table(ATTENDED.read(path) for path in paths), read_metadata(paths[0])
    frame, found = outcomes.frame, {}
    table = read.select(["row_id", "domain", "group"]).to_pandas()
    mass = as_array(read["mass"]).reshape(len(table), made["layers"], made["heads"], len(made["places"]))
    drops = np.stack(
        [
            read[f"clean_{name}"].to_numpy().astype(float)[:, None] - as_array(read[name])
            for name in ("hits", "log_probability")
        ],
        axis=1,
    )
    for group, of_class in members.items():
        chosen = np.flatnonzero(table["group"] == group)
        rows = places_of(frame, table.iloc[chosen])
        if not (of_class[rows] & (frame.row_ids[rows] == table["row_id"].to_numpy()[chosen])).all():
            raise ReciteError(f"{paths[0].parent} holds rows that were drawn by other scores; delete it and run again.")
        order = rows.argsort()
        found[group] = Drawn(rows[order], mass[chosen[order]], drops[chosen[order]] / outcomes.steps)
    return found


def groups_of(
    outcomes: Outcomes, drawn: Mapping[str, Drawn], members: Mapping[str, np.ndarray]
) -> Iterator[tuple[Line, np.ndarray, Drawn]]:
    """Natural and planted rows of every class, and unseen ones, if some were drawn: names, all of them, the drawn."""
    frame, scored = outcomes.frame, (MEMORIZED, HALF, UNMEMORIZED)
    kinds = [(kind, group, frame.rows_of(kind)) for kind in (NATURAL, PLANTED) for group in scored]
    for kind, group, of_kind in [*kinds, (UNSEEN, UNSEEN, np.flatnonzero(members[UNSEEN]))]:
        rows = of_kind[members[group][of_kind]]
        known = drawn[group].rows[np.isin(drawn[group].rows, rows)]
        if len(known):
            about = {"rows": kind, "group": ALL if kind == UNSEEN else group, "n": len(rows), "drawn": len(known)}
            about |= {"distinct": len(np.unique(frame.texts[known]))}
            yield who(outcomes) | about, rows, drawn[group]


def place_lines(
    outcomes: Outcomes, rows: np.ndarray, drawn: Drawn, by_head: bool, options: Mapping[str, Any]
) -> Iterator[tuple[str, Line]]:
    """Lines of each table, with numbers in place of places, for some rows of which a class's drawn ones are known.

    Of attention_heads only where they are asked for `by_head`.
    """

    def drawn_means(values: np.ndarray) -> np.ndarray:
        means = totals(outcomes.frame, rows, drawn.rows, values.reshape(len(values), -1), options).means
        return means.reshape(-1, *values.shape[1:])

    (layers, heads, places), of_layers = drawn.mass.shape[1:], []
    step = max(1, COLUMNS // (heads * places))
    for start in range(0, layers, step):
        for layer, mass in enumerate(drawn_means(drawn.mass[:, start : start + step]).swapaxes(0, 1), start):
            of_layers.append(mass.mean(axis=1))
            at = {"layer": layer, "depth": (layer + 1) / layers}
            yield from _lines(ATTENTION_LAYERS.name, at, of_layers[-1], options)
            for head in range(heads if by_head else 0):
                yield from _lines(ATTENTION_HEADS.name, at | {"head": head}, mass[:, head], options)
    drops = drawn_means(drawn.drops)
    for name, line in _lines(ATTENTION.name, {}, np.mean(of_layers, axis=0), options):
        for number, drop in enumerate(DROPS):
            cut = line["place"] < drops.shape[2]
            values = drops[:, number, line["place"]] if cut else np.full(2, np.nan)
            line |= with_ends(drop, values, options["confidence"])
        yield name, line


def _lines(table: str, at: Line, mass: np.ndarray, options: Mapping[str, Any]) -> Iterator[tuple[str, Line]]:
    """A line for each place, of mass (1 + resamples, places)."""
    for place in range(mass.shape[1]):
        yield table, at | {"place": place} | with_ends("mass", mass[:, place], options["confidence"])
