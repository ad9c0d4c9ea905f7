"""The stage of erasing: what memorized rows still recite of one model, and what other rows pay, rung by rung."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.finite import naming
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.residuals import texts_of
from recite.engine.rows import run_once, taken
from recite.engine.scores import forced
from recite.progress import Done, Progress
from recite.stages.drawn import DrawnRows
from recite.stages.erasing.measure.drawing import ranks, read_both
from recite.stages.erasing.measure.ladder import Ladder, means_of
from recite.stages.erasing.measure.ranking import Ranking, heads_by_loss, neurons_by_attribution, sublayers_by_loss
from recite.stages.erasing.rows import DAMAGED, HEADS, MEMORIZED, NEURONS, OTHER, RECALLED, SUBLAYERS, Rung
from recite.tables.lists import as_lists

RANKING = "ranking"
"""Memorized rows by which is ranked."""


class Texts(NamedTuple):
    """Some of the drawn rows, whose texts are run once each.

    rows: their places among the drawn rows. places: the text of each. ids: each text's row id. text: (texts, length).
    """

    rows: list[int]
    places: list[int]
    ids: list[int]
    text: Tensor


class Erased(NamedTuple):
    """clean_hits (texts,), hits (texts, rungs): uint8. clean (others,), log_probability (others, rungs): float32."""

    rungs: list[Rung]
    clean_hits: Tensor
    hits: Tensor
    clean: Tensor
    log_probability: Tensor


def erase(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    shards: Sequence[Path],
    checkpoint: Path,
    ablated: Sequence[Path],
    without: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    recalled: Path,
    damaged: Path,
    threads: int,
) -> None:
    """Write a line for every memorized row of the half that measures, and one for every other row.

    `options` are those of scoring with `domains`, `kinds`, `rows` (how many of each group in a domain), thresholds, the
    seed and the strengths of every intervention. `ablated` and `without` are the model's rows without heads and
    without sublayers, if there are any; heads, sublayers and neurons are ranked by memorized rows of the other half.
    """
    torch.set_num_threads(threads)
    drawn = read_both(options, scores, shards, planted, controls)
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    steps = drawn.rows.continuation.shape[1]
    parts = parts_of(drawn, options)
    told = {name: len(part.text) for name, part in parts.items()}
    print(f"{options['model']}: texts {told} on {loaded.device}", flush=True)

    def kept(table: pa.Table, tokens: int) -> np.ndarray:
        ranking = [ranks(text, options["seed"]) for text in table["sequence_id"].to_pylist()]
        return np.array(ranking, bool) & (table["clean_hits"].to_numpy() / tokens >= options["memorized"])

    measured = {HEADS: heads_by_loss(ablated, kept)} if ablated else {}
    measured |= {SUBLAYERS: sublayers_by_loss(without, kept)} if without else {}

    found, batch_rows = halving(
        lambda size: erased(loaded, options, parts, steps, size, measured), options["batch_rows"]
    )
    about = made(options, loaded, batch_rows, continuation_tokens=steps, rungs=[list(rung) for rung in found.rungs])
    RECALLED.write(recalled, columns_of(drawn, parts[MEMORIZED], clean_hits=found.clean_hits, hits=found.hits), about)
    likely = {"clean_log_probability": found.clean, "log_probability": found.log_probability}
    DAMAGED.write(damaged, columns_of(drawn, parts[OTHER], **likely), about)


def parts_of(drawn: DrawnRows, options: Mapping[str, Any]) -> dict[str, Texts]:
    """The memorized rows that rank, those that measure, and the others."""
    rows, found = drawn.rows, {}
    names = [
        RANKING if group == MEMORIZED and ranks(text, options["seed"]) else group
        for group, text in zip(drawn.groups, rows.sequences, strict=True)
    ]
    for name in (RANKING, MEMORIZED, OTHER):
        own = [row for row, part in enumerate(names) if part == name]
        part = taken(rows, own)
        run, places = run_once(part, alone=True)
        found[name] = Texts(own, places, [part.ids[row] for row in run], texts_of(part, options["bos"])[run])
    return found


def columns_of(drawn: DrawnRows, part: Texts, **values: Tensor) -> dict[str, Any]:
    """Columns of a table from what was found of the texts of a part, (texts,) or (texts, rungs)."""
    columns = {name: [values[row] for row in part.rows] for name, values in drawn.columns.items() if name != "group"}
    for name, value in values.items():
        of_rows = value[part.places].numpy()
        columns[name] = as_lists(of_rows) if of_rows.ndim > 1 else of_rows.tolist()
    return columns


def erased(
    checkpoint: Checkpoint,
    options: Mapping[str, Any],
    parts: Mapping[str, Texts],
    steps: int,
    batch_rows: int,
    measured: Mapping[str, Ranking],
) -> Erased:
    """Both groups at every rung; at none where a part has no row, as nothing can be ranked or compared.

    `measured` are the rankings of heads and sublayers; neurons are ranked here.
    """
    model, both = options["model"], [parts[RANKING], parts[OTHER]]
    rungs: list[Rung] = []
    if all(len(part.text) for part in parts.values()):
        with naming(model, [row_id for part in both for row_id in part.ids]):
            means = means_of(checkpoint, torch.cat([part.text for part in both]), batch_rows, bool(options[NEURONS]))
        rankings = dict(measured)
        if options[NEURONS]:
            with naming(model, parts[RANKING].ids):
                rankings[NEURONS] = neurons_by_attribution(
                    checkpoint, parts[RANKING].text, steps, batch_rows, means.neurons
                )
        ladder = Ladder(checkpoint, options, rankings, means)
        rungs = [*ladder.rungs()]
    recall, others = parts[MEMORIZED], parts[OTHER]
    done = Progress((1 + len(rungs)) * (len(recall.text) + len(others.text)), "continuations")
    with naming(model, recall.ids):
        clean = continue_greedily(checkpoint, recall.text[:, :-steps], steps, batch_rows, draft=recall.text[:, -steps:])
        hits = [recited(checkpoint, recall, clean.tokens, batch_rows, ladder, rung, done) for rung in rungs]
    with naming(model, others.ids):
        likely = []
        for rung in (None, *rungs):
            change = ladder.intervention(rung, others.ids) if rung else None
            found = forced(checkpoint, others.text, steps, batch_rows, intervention=change, done=done)
            likely.append(found.log_probability)
    return Erased(
        rungs,
        hits_of(recall, clean.tokens),
        torch.stack(hits, dim=1) if rungs else torch.zeros(len(recall.text), 0, dtype=torch.uint8),
        likely[0],
        torch.stack(likely[1:], dim=1) if rungs else torch.zeros(len(others.text), 0),
    )


def recited(
    checkpoint: Checkpoint, part: Texts, clean: Tensor, batch_rows: int, ladder: Ladder, rung: Rung, done: Done
) -> Tensor:
    """Hits of a part's texts at one rung, (texts,) uint8; `clean` (texts, steps) is how the whole model goes on."""
    steps = clean.shape[1]
    continuation = continue_greedily(
        checkpoint,
        part.text[:, :-steps],
        steps,
        batch_rows,
        draft=clean,
        intervention=ladder.intervention(rung, part.ids),
        done=done,
    )
    return hits_of(part, continuation.tokens)


def hits_of(part: Texts, tokens: Tensor) -> Tensor:
    """True tokens of each continuation, (texts,) uint8."""
    return (tokens == part.text[:, -tokens.shape[1] :]).sum(dim=1).to(torch.uint8)
