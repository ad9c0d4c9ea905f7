"""From scores of windows to rates by place and context length, and to what the same documents lose at a later place."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from recite.outcomes.frame import NATURAL, PLANTED, read_frame
from recite.outcomes.means import bags_of
from recite.outcomes.rates import Line, share_of
from recite.outcomes.rows import files_by_model, one_table
from recite.stages.offsets.rows import OFFSET_SCORES
from recite.stages.offsets.tables import OFFSET_CHANGES, OFFSETS
from recite.statistics.intervals import with_ends
from recite.tables import read_metadata

FIRST = 0
"""The place that others are held against: a document's beginning."""
NO_RATE = dict.fromkeys(("rate", "rate_low", "rate_high", "mean_score"), float("nan"))


def aggregate_offsets(options: Mapping[str, Any], scores: Sequence[Path], outputs: Mapping[str, Path]) -> None:
    """Write the tables offsets and offset_changes from the scores of models' windows."""
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for paths in files_by_model(scores).values():
        made = read_metadata(paths[0])
        asked = made["options"]
        who = {name: asked[name] for name in ("model", "family")} | {"parameters": made["parameters"]}
        rows = one_table(OFFSET_SCORES.read(path) for path in paths)
        score = rows["hits"].to_numpy() / made["continuation_tokens"]
        rows = rows.append_column("score", pa.array(score))
        for context, place in product(asked["contexts"], asked["places"]):
            cell = who | {"place": place, "context": context}
            found = at(rows, place, context)
            lines["offsets"] += [cell | line for line in rate_lines(found, made["counts"], cell, options)]
            if place != FIRST:
                changes = change_lines(at(rows, FIRST, context), found, who["model"], options)
                lines["offset_changes"] += [cell | line for line in changes]
    for table in (OFFSETS, OFFSET_CHANGES):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def at(rows: pa.Table, place: int, context: int) -> pa.Table:
    """The windows at one place with contexts of one length, by row id."""
    chosen = pc.and_(pc.equal(rows["place"], place), pc.equal(rows["context"], context))
    return rows.filter(chosen).sort_by("row_id").combine_chunks()


def rate_lines(
    rows: pa.Table, counts: Sequence[Mapping[str, Any]], cell: Mapping[str, Any], options: Mapping[str, Any]
) -> Iterator[Line]:
    """Lines of one kind of window, `cell`: every domain, and all natural domains together, with a window or without."""
    kinds = options["kinds"][options["corpora"][cell["model"]]]
    order, frame = read_frame(rows, cell["model"], options, whole=False)
    score = rows["score"].to_numpy()[order]
    members = {domain: kept for domain, _, kept in frame.each_domain()}
    own = (dict(count) for count in counts if all(count[name] == cell[name] for name in ("place", "context")))
    whole = [count | {"kind": kinds[count["domain"]]} for count in own]
    natural = [count for count in whole if count["kind"] != PLANTED]
    total = {name: sum(count[name] for count in natural) for name in ("documents", "short", "cut")}
    for count in (*whole, *([total | {"domain": NATURAL, "kind": "mixed"}] if natural else ())):
        kept = members.get(count["domain"], np.zeros(0, np.int64))
        memorized = score[kept] >= options["memorized"]
        rates = share_of(frame, kept, memorized, options, "rate") if len(kept) else NO_RATE
        yield {
            **NO_RATE,
            **{name: count[name] for name in ("domain", "kind", "documents", "short", "cut")},
            "n": len(kept),
            "distinct": len(np.unique(frame.texts[kept])),
            "memorized": int(memorized.sum()),
            **rates,
            **({"mean_score": float(score[kept].mean())} if len(kept) else {}),
        }


def change_lines(first: pa.Table, later: pa.Table, model: str, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of the documents that have both windows: every domain, and all natural domains together."""
    _, here, there = np.intersect1d(first["row_id"].to_numpy(), later["row_id"].to_numpy(), return_indices=True)
    first, later = first.take(here), later.take(there)
    before, after = (table["score"].to_numpy() >= options["memorized"] for table in (first, later))
    texts = linked(first["sequence_id"].to_numpy(), later["sequence_id"].to_numpy())
    place = later.column_names.index("sequence_id")
    order, frame = read_frame(later.set_column(place, "sequence_id", pa.array(texts)), model, options, whole=False)
    before, after = before[order], after[order]
    for domain, kind, kept in frame.each_domain():
        bags = bags_of(frame, kept, options)
        drawn = bags.means(bags.sums((after.astype(float) - before)[:, None]))[:, 0]
        yield {
            "domain": domain,
            "kind": kind,
            "n": len(kept),
            "distinct": bags.distinct,
            "lost": int((before & ~after)[kept].sum()),
            "gained": int((after & ~before)[kept].sum()),
            "rate_first": float(before[kept].mean()),
            **with_ends("change", drawn, options["confidence"]),
        }


def linked(first: np.ndarray, later: np.ndarray) -> np.ndarray:
    """One number for all documents, (documents,) uint64, whose texts are equal at either place, or by way of others."""
    (before, a), (after, b) = (np.unique(texts, return_inverse=True) for texts in (first, later))
    nodes = len(before) + len(after)
    graph = coo_array((np.ones(len(a)), (a, len(before) + b)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1][a].astype(np.uint64)
