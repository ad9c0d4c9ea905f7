"""The stage of head ablation: what every drawn row loses by every head of some layers of one model.

Lost are hits of the greedy continuation (`recite.stages.heads.measure.continuations`) and log-probability of the true
one (`recite.stages.heads.measure.likelihoods`). A row that is recited whole has its true continuation for a draft, so
that one pass tells both; a row that has no hit to lose is not continued.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.finite import at_rows, naming
from recite.engine.interventions.heads import Replacement
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.passes import keeping_recordings
from recite.engine.residuals import texts_of
from recite.engine.rows import Rows, run_once, taken
from recite.errors import ReciteError
from recite.progress import Done, Progress, unseen
from recite.stages.heads.measure.chosen import Heads, heads_of_rows, read_chosen
from recite.stages.heads.measure.continuations import ablate_heads, mean_outputs
from recite.stages.heads.measure.likelihoods import head_likelihoods
from recite.stages.heads.rows import ABLATED, HEAD_MEANS
from recite.tables.lists import as_array, as_lists


class Effects(NamedTuple):
    """Some rows with and without each head of some layers.

    clean_hits: (rows,), hits: (rows, layers, heads), both uint8; as they are where a row is not continued.
    clean: (rows,) float32, log-probability of the true continuation, the sum over its tokens, nats; log_probability:
    (rows, layers, heads), without each head. Of heads that are not ablated hits are 0 and log-probabilities NaN.
    """

    clean_hits: Tensor
    hits: Tensor
    clean: Tensor
    log_probability: Tensor


def measure_heads(
    options: Mapping[str, Any],
    shards: Sequence[Path],
    drawn: Sequence[Path],
    checkpoint: Path,
    means: Path | None,
    open_heads: Path | None,
    ablated: Path,
    threads: int,
) -> None:
    """Ablate one model's heads on the drawn rows of some shards of its sample and write a line a row.

    `options` are those of scoring with `layers` (first and the one after the last, or None for the model's last),
    `round`, `replacement` and, to resample, `seed`. `drawn` are the tables of ablated rows, of which there may be none
    of this round here. `means` is the file of the heads' mean outputs where these are the replacement. With the table
    `open_heads` only those are ablated.
    """
    torch.set_num_threads(threads)
    chosen = read_chosen(shards, drawn, seed_of(options), options["round"])
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    layers = layers_of(options, loaded)
    every = range(layers.start * loaded.heads, layers.stop * loaded.heads)
    parts = []
    for heads, places in heads_of_rows(chosen, open_heads, every).items():
        donors = None if chosen.donors is None else taken(chosen.donors, places)
        rows = taken(chosen.rows, places)
        parts.append((places, *_part(options, loaded, rows, donors, means, heads, layers)))
    columns, batch_rows = _in_order(parts, options["batch_rows"])
    about = {"layers": len(loaded.layers), "heads": loaded.heads, "first_layer": layers.start}
    steps = chosen.rows.continuation.shape[1]
    ABLATED.write(ablated, columns, made(options, loaded, batch_rows, continuation_tokens=steps) | about)


def _part(
    options: Mapping[str, Any],
    loaded: Checkpoint,
    rows: Rows,
    donors: Rows | None,
    means: Path | None,
    heads: Heads,
    layers: range,
) -> tuple[dict[str, Any], int]:
    """Rows without some heads: the columns of their lines, and the rows of a batch."""
    run, places = run_once(rows, alone=donors is None)
    text = texts_of(rows, options["bos"])[run]
    replacement = replacement_of(options, donors, means)
    here = np.array(heads, np.int64)
    chosen = {layer: torch.from_numpy(here[here // loaded.heads == layer] % loaded.heads) for layer in layers}
    steps = rows.continuation.shape[1]
    what = f"{len(rows.ids)} rows of {len(text)} texts, {len(here)} heads of {len(layers)} layers"
    print(f"{options['model']}: {what} on {loaded.device}")

    def call(size: int) -> Effects:
        done = Progress(2 * len(text) * len(here), "continuations")
        return effects(loaded, text, steps, size, layers, chosen=chosen, done=done, **replacement)

    with naming(options["model"], [rows.ids[row] for row in run]):
        found, batch_rows = halving(call, options["batch_rows"])
    return columns_of(rows, places, found, here, layers.start * loaded.heads), batch_rows


def _in_order(parts: Sequence[tuple[list[int], dict[str, Any], int]], batch_rows: int) -> tuple[dict[str, Any], int]:
    """The lines of all parts as the rows stand, and the fewest rows of a batch."""
    order = np.argsort(np.array([place for places, _, _ in parts for place in places], np.int64), kind="stable")
    columns: dict[str, Any] = {name: [] for name in ABLATED.names}
    for name in columns if parts else ():
        columns[name] = pa.concat_arrays([pa.array(values[name]) for _, values, _ in parts]).take(pa.array(order))
    return columns, min([size for *_, size in parts] or [batch_rows])


def columns_of(rows: Rows, places: list[int], found: Effects, heads: np.ndarray, first: int) -> dict[str, Any]:
    """Columns of the table from the texts that were run, of which `places` says each row's; of some heads, (heads,).

    Heads are counted from the model's first, those of `found` from number `first`.
    """
    lists = {"hits": found.hits, "log_probability": found.log_probability}
    return {
        "row_id": pa.array(rows.ids, pa.uint64()),
        "sequence_id": pa.array(rows.sequences, pa.uint64()),
        "domain": pa.array(rows.domains, pa.string()),
        "inclusion_probability": pa.array(rows.probabilities, pa.float64()),
        "clean_hits": found.clean_hits[places].numpy(),
        "clean_log_probability": found.clean[places].numpy(),
        "heads": as_lists(np.tile(heads.astype(np.uint16), (len(places), 1))),
    } | {name: as_lists(values.flatten(1)[places][:, heads - first].numpy()) for name, values in lists.items()}


def layers_of(options: Mapping[str, Any], checkpoint: Checkpoint) -> range:
    """The layers of a job; ReciteError where the model has not so many."""
    first, stop = options["layers"]
    layers = range(first, len(checkpoint.layers) if stop is None else stop)
    if layers.stop > len(checkpoint.layers):
        raise ReciteError(
            f"model {options['model']} has {len(checkpoint.layers)} layers, but layer {layers.stop - 1} was to be "
            "ablated; correct `layers` of its entry in the models file."
        )
    return layers


def measure_means(
    options: Mapping[str, Any],
    shards: Sequence[Path],
    drawn: Sequence[Path],
    checkpoint: Path,
    means: Path,
    threads: int,
) -> None:
    """Write the mean output of every head over the positions of all ablated rows and their continuations."""
    torch.set_num_threads(threads)
    rows = read_chosen(shards, drawn).rows
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    steps = rows.continuation.shape[1]
    prompt = texts_of(rows, options["bos"])[:, :-steps]

    def outputs(size: int) -> list[Tensor]:
        done = Progress(len(prompt))
        clean = continue_greedily(loaded, prompt, steps, size, draft=rows.continuation, done=done)
        return mean_outputs(loaded, prompt, clean.tokens, size)

    with naming(options["model"], rows.ids):
        found, batch_rows = halving(outputs, options["batch_rows"])
    columns = {"layer": list(range(len(found))), "mean": as_lists(torch.stack(found).numpy())}
    HEAD_MEANS.write(means, columns, made(options, loaded, batch_rows, continuation_tokens=steps))


def seed_of(options: Mapping[str, Any]) -> int | None:
    """What decides whose heads' outputs a row is given; None where it is not another row's."""
    return int(options["seed"]) if options["replacement"] == "resample" else None


def replacement_of(options: Mapping[str, Any], donors: Rows | None, means: Path | None) -> dict[str, Any]:
    """By what heads are replaced, as keywords of `effects`."""
    texts = None if donors is None else texts_of(donors, options["bos"])
    return {"by": options["replacement"], "means": read_means(means) if means else None, "donors": texts}


def read_means(path: Path) -> list[Tensor]:
    """Each layer's mean outputs, (heads x width)."""
    return list(torch.from_numpy(as_array(HEAD_MEANS.read(path)["mean"]).copy()))


def effects(
    checkpoint: Checkpoint,
    text: Tensor,
    steps: int,
    batch_rows: int,
    layers: range,
    *,
    by: Replacement = "mean_of_others",
    means: Sequence[Tensor] | None = None,
    donors: Tensor | None = None,
    chosen: Mapping[int, Tensor] | None = None,
    done: Done = unseen,
) -> Effects:
    """Continue `text` (rows, prompt + `steps`) from its prompt, with and without every head of `layers`, or the chosen.

    The undisturbed continuation is made in the same batches as the others: a head that does nothing costs no hit.
    `done` is told of every row twice for each head, at once of what is not run.
    """
    context, true = text[:, :-steps], text[:, -steps:]
    clean = continue_greedily(checkpoint, context, steps, batch_rows, draft=true, likelihood=True)
    hits = (clean.tokens == true).sum(dim=1)
    every = dict.fromkeys(layers, torch.arange(checkpoint.heads)) if chosen is None else chosen
    shape = len(text), len(layers), checkpoint.heads
    found = Effects(
        hits.to(torch.uint8),
        torch.zeros(shape, dtype=torch.uint8),
        clean.log_probability.clone(),
        torch.full(shape, torch.nan),
    )
    for places, likelihood in ((hits == steps, True), ((hits > 0) & (hits < steps), False)):
        rows = places.nonzero().flatten()
        lent = None if donors is None else donors[rows]
        how: dict[str, Any] = {"by": by, "means": means, "donors": lent, "chosen": every, "likelihood": likelihood}
        with at_rows(rows), keeping_recordings(checkpoint):
            ablations = ablate_heads(
                checkpoint, context[rows], clean.tokens[rows], batch_rows, layers=list(layers), done=done, **how
            )
            for part, layer, continuation in ablations:
                at = rows[part.start : part.stop, None], layer - layers.start, every[layer]
                equal = continuation.tokens == true[rows[part.start : part.stop], None]
                found.hits[at] = equal.sum(dim=-1).to(torch.uint8)
                if likelihood:
                    found.log_probability[at] = continuation.log_probability
    rows = (hits < steps).nonzero().flatten()
    with at_rows(rows):
        how = {"by": by, "means": means, "donors": None if donors is None else donors[rows], "chosen": every}
        forced = head_likelihoods(checkpoint, text[rows], steps, batch_rows, layers, done=done, **how)
    found.clean[rows], found.log_probability[rows] = forced.clean, forced.ablated
    done(sum(map(len, every.values())) * int((hits == 0).sum() + (hits == steps).sum()))
    return found
