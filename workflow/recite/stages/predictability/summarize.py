"""From drawn rows to rates corrected for what is predictable, gains over unrelated contexts, and kinds of rows.

Rows are drawn by class, so that each domain's drawn rows of a class stand for all of its rows of that class: a mean
over several domains weighs each by its rows, as scored (Horvitz & Thompson 1952).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.corpora.planted import known_copies
from recite.errors import ReciteError
from recite.outcomes.copies import UNSEEN, copies_of, unseen_rows
from recite.outcomes.draws import DRAWS, draw_line
from recite.outcomes.frame import NATURAL, PLANTED, Frame, places_of
from recite.outcomes.means import HALF, MEMORIZED, UNMEMORIZED, Totals, bags_of, classes, totals
from recite.outcomes.rates import Line, share_of, who
from recite.outcomes.rows import Outcomes, files_by_model, one_table, read_outcomes
from recite.stages.frequency.countings import SPANS, Frequencies, read_frequencies
from recite.stages.predictability.rows import PRIORS
from recite.stages.predictability.tables import PREDICTABILITY, PRIOR_GAINS, TAXONOMY
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import ROUNDING, wilson, with_ends
from recite.tables import read_metadata

MANY = 5
"""Copies beyond which a memorized row is recited for them (2406.17746)."""
CLASSES = ("recite", "reconstruct", "recollect")


class Drawn(NamedTuple):
    """The drawn rows of one class of a model.

    rows: their indices, ascending. values: (rows, 4) log-probability a token, nats, after their own context and after
    unrelated ones, its gain, and the share of unrelated contexts after which they are recited. templates: (rows,) bool.
    """

    rows: np.ndarray
    values: np.ndarray
    templates: np.ndarray


def aggregate_predictability(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    priors: Sequence[Path],
    frequencies: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    outputs: Mapping[str, Path],
) -> None:
    """Write the tables predictability, prior_gains, taxonomy and draws.

    `frequencies` are counts of the families' rows by one way of counting, if there are any; `planted` and `controls`
    are those of `recite.stages.scoring.summarize`. One model's scores are in memory at a time.
    """
    repetitions = known_copies(planted, controls) if controls else {}
    counting = [read_metadata(path)["options"]["counting"] for path in frequencies[:1]]
    counted = {family: found[counting[0]] for family, found in read_frequencies(frequencies, counting).items()}
    clean = files_by_model(scores)
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for key, paths in files_by_model(priors).items():
        outcomes = read_outcomes(clean[key], SCORES, options)
        drawn = read_drawn(paths, outcomes, options)
        copies = copies_of(outcomes.frame, repetitions)
        unseen = unseen_rows(outcomes.frame, copies)
        lines["predictability"] += rate_lines(outcomes, drawn[MEMORIZED], unseen, options)
        lines["prior_gains"] += gain_lines(outcomes, drawn, unseen, options)
        occurrences = occurrences_of(outcomes.frame, copies, counted.get(outcomes.family))
        lines["taxonomy"] += class_lines(outcomes, drawn[MEMORIZED], occurrences, options)
        lines["draws"] += claimed_lines(outcomes, drawn[MEMORIZED], options)
    for table in (PREDICTABILITY, PRIOR_GAINS, TAXONOMY, DRAWS):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def read_drawn(paths: Sequence[Path], outcomes: Outcomes, options: Mapping[str, Any]) -> dict[str, Drawn]:
    """Class -> its drawn rows in one model; ReciteError where they were drawn by other scores."""
    table, frame = one_table(PRIORS.read(path) for path in paths).to_pandas(), outcomes.frame
    contexts, found = read_metadata(paths[0])["contexts"], {}
    for group, of_class in classes(outcomes.hits, outcomes.steps, options).items():
        part = table[table["group"] == group]
        rows = places_of(frame, part)
        if not (of_class[rows] & (frame.row_ids[rows] == part["row_id"])).all():
            raise ReciteError(f"{paths[0].parent} holds rows that were drawn by other scores; delete it and run again.")
        own, prior = (part[f"{name}log_probability"].to_numpy(float) / outcomes.steps for name in ("", "prior_"))
        values = np.column_stack([own, prior, own - prior, part["prior_recited"].to_numpy(float) / contexts])
        order = rows.argsort()
        found[group] = Drawn(rows[order], values[order], (part["template"] != "").to_numpy()[order])
    return found


def rate_lines(outcomes: Outcomes, drawn: Drawn, unseen: np.ndarray, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of the table predictability: every domain, all natural ones, and rows that were never trained on."""
    for domain, kind, rows in [*outcomes.frame.each_domain(), (UNSEEN, UNSEEN, unseen)]:
        if len(rows):
            about = {"domain": domain, "kind": kind, "n": len(rows)}
            yield who(outcomes) | about | corrected(outcomes, rows, drawn, options)


def corrected(outcomes: Outcomes, rows: np.ndarray, drawn: Drawn, options: Mapping[str, Any]) -> Line:
    """The rate of some rows, the share of it that unrelated contexts explain, and what is left."""
    frame, recited = outcomes.frame, outcomes.memorized(options)
    memorized = recited[rows]
    rate = share_of(frame, rows, memorized, options, "rate")
    found = totals(frame, rows[memorized], drawn.rows, drawn.values[:, 3:], options)
    bags = bags_of(frame, rows, options)
    # Of what was not drawn nothing is explained.
    left = (bags.means(bags.sums(recited[:, None])) - Totals(bags.totals(bags.sizes[:, None]), found.sums).means)[:, 0]
    value, variance = float(left[0]), float(np.nanvar(left[1:], ddof=1))
    n = value * (1 - value) / variance if variance > ROUNDING**2 else rate["rate_n"]
    low, high = wilson(value, n, options["confidence"])
    line: Line = {
        "distinct": bags.distinct,
        "memorized": int(memorized.sum()),
        "drawn": int(np.isin(drawn.rows, rows).sum()),
        **{name: rate[name] for name in ("rate", "rate_low", "rate_high")},
        **with_ends("explained", found.means[:, 0], options["confidence"]),
    }
    return line | {"corrected": value, "corrected_low": low, "corrected_high": high}


def gain_lines(
    outcomes: Outcomes, drawn: Mapping[str, Drawn], unseen: np.ndarray, options: Mapping[str, Any]
) -> Iterator[Line]:
    """Lines of the table prior_gains: natural, planted and unseen rows of every class that was drawn."""
    frame, members = outcomes.frame, classes(outcomes.hits, outcomes.steps, options)
    kinds = {NATURAL: frame.rows_of(NATURAL), PLANTED: frame.rows_of(PLANTED), UNSEEN: unseen}
    for kind, of_kind in kinds.items():
        for group in (MEMORIZED, HALF, UNMEMORIZED):
            rows, part = of_kind[members[group][of_kind]], drawn[group]
            count = int(np.isin(part.rows, rows).sum())
            if not count:
                continue
            means = totals(frame, rows, part.rows, part.values, options).means
            about = {"rows": kind, "group": group, "n": len(rows), "distinct": len(np.unique(frame.texts[rows]))}
            line = who(outcomes) | about | {"drawn": count}
            for place, name in enumerate(("own", "prior", "gain", "recited")):
                line |= with_ends(name, means[:, place], options["confidence"])
            yield line


def occurrences_of(frame: Frame, copies: np.ndarray, counted: Frequencies | None) -> np.ndarray:
    """How often each row's sequence occurs, (rows,); NaN where that was not counted. Of planted rows it is known."""
    found = np.full(len(frame.row_ids), np.nan)
    if counted is not None:
        here = np.isin(frame.row_ids, counted.row_ids)
        found[here] = counted.of(frame.row_ids[here], SPANS[0])
    if len(copies):
        found[frame.rows_of(PLANTED)] = copies
    return found


def class_lines(
    outcomes: Outcomes, drawn: Drawn, occurrences: np.ndarray, options: Mapping[str, Any]
) -> Iterator[Line]:
    """Lines of the table taxonomy: memorized rows by kind, of those that were drawn and whose occurrences are known."""
    frame, memorized = outcomes.frame, outcomes.memorized(options)
    known = ~np.isnan(occurrences[drawn.rows])
    rows, templates = drawn.rows[known], drawn.templates[known]
    many = occurrences[rows] > MANY
    members = np.column_stack([many, ~many & templates, ~many & ~templates])
    for kind in (NATURAL, PLANTED):
        of_kind = frame.rows_of(kind)
        here = np.isin(rows, of_kind)
        if not here.any():
            continue
        shares = totals(frame, of_kind[memorized[of_kind]], rows, members.astype(float), options).means
        distinct = len(np.unique(frame.texts[rows[here]]))
        for place, name in enumerate(CLASSES):
            about = {"rows": kind, "class": name, "n": int(here.sum()), "distinct": distinct}
            line = who(outcomes) | about | {"of_class": int(members[here, place].sum())}
            yield line | with_ends("share", shares[:, place], options["confidence"])


def claimed_lines(outcomes: Outcomes, drawn: Drawn, options: Mapping[str, Any]) -> Iterator[Line]:
    """Of memorized natural rows: the share that unrelated contexts do not explain; NaN without any."""
    rows = outcomes.frame.rows_of(NATURAL)
    rows = rows[outcomes.memorized(options)[rows]]
    found = totals(outcomes.frame, rows, drawn.rows, drawn.values[:, 3:], options)
    yield draw_line(who(outcomes), "not_predictable", 1 - found.means[:, 0])
