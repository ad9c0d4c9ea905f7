"""The stage of head ablation: what every sampled row loses by every head of some layers of one model.

Lost are hits of the greedy continuation (`recite.stages.heads.measure.continuations`) and log-probability of the true
one (`recite.stages.heads.measure.likelihoods`); how much it changes is estimated, too
(`recite.stages.heads.measure.attribution`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.finite import naming
from recite.engine.interventions.heads import Replacement
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.passes import keeping_recordings
from recite.engine.residuals import texts_of
from recite.engine.rows import Rows, run_once
from recite.errors import ReciteError
from recite.progress import Done, Progress, unseen
from recite.stages.heads.measure.attribution import estimated_changes
from recite.stages.heads.measure.chosen import read_chosen
from recite.stages.heads.measure.continuations import ablate_heads, mean_outputs
from recite.stages.heads.measure.likelihoods import Likelihoods, head_likelihoods
from recite.stages.heads.rows import ABLATED, HEAD_MEANS, SCREENED
from recite.stages.heads.shortlist import shortlist
from recite.tables.lists import as_array, as_lists


class Effects(NamedTuple):
    """Some rows with and without each head of some layers.

    clean_hits: (rows,), hits: (rows, layers, heads), both uint8. likelihoods: of the true continuation. estimates:
    (rows, layers, heads) float32, size of their change to first order. Of heads that are not ablated hits are 0.
    """

    clean_hits: Tensor
    hits: Tensor
    likelihoods: Likelihoods
    estimates: Tensor


def measure_heads(
    options: Mapping[str, Any],
    shards: Sequence[Path],
    drawn: Sequence[Path],
    checkpoint: Path,
    means: Path | None,
    screened: Path | None,
    ablated: Path,
    threads: int,
) -> None:
    """Ablate one model's heads on the drawn rows of some shards of its sample and write a line a row.

    `options` are those of scoring with `layers` (first and the one after the last, or None for the model's last),
    `replacement` and, to resample, `seed`. `drawn` are the tables of ablated rows, of which there may be none here.
    `means` is the file of the heads' mean outputs where these are the replacement. With the table `screened` only the
    first `share` of the heads are ablated.
    """
    torch.set_num_threads(threads)
    rows, donors = read_chosen(shards, drawn, seed_of(options))
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    layers = layers_of(options, loaded)
    run, places = run_once(rows, alone=donors is None)
    text = texts_of(rows, options["bos"])[run]
    replacement = replacement_of(options, donors, means)
    count = len(loaded.layers) * loaded.heads
    ablated_heads = shortlist(read_estimates(screened, count), options["share"]) if screened else np.arange(count)
    here = ablated_heads[np.isin(ablated_heads // loaded.heads, layers)]
    chosen = {layer: torch.from_numpy(here[here // loaded.heads == layer] % loaded.heads) for layer in layers}
    steps = rows.continuation.shape[1]
    what = f"{len(rows.ids)} rows of {len(text)} texts, {len(here)} heads of {len(layers)} layers"
    print(f"{options['model']}: {what} on {loaded.device}")

    def call(size: int) -> Effects:
        done = Progress(2 * len(text) * len(here), "continuations")
        return effects(loaded, text, steps, size, layers, chosen=chosen, done=done, **replacement)

    with naming(options["model"], [rows.ids[row] for row in run]):
        found, batch_rows = halving(call, options["batch_rows"])
    columns = columns_of(rows, places, found, here - layers.start * loaded.heads)
    about = {"layers": len(loaded.layers), "heads": loaded.heads, "first_layer": layers.start}
    about |= {"ablated": here.tolist(), "ablated_of_model": len(ablated_heads)}
    ABLATED.write(ablated, columns, made(options, loaded, batch_rows, continuation_tokens=steps) | about)


def columns_of(rows: Rows, places: list[int], found: Effects, heads: np.ndarray) -> dict[str, Any]:
    """Columns of the table from the texts that were run, of which `places` says each row's; of some heads, (heads,)."""
    lists = {"hits": found.hits, "log_probability": found.likelihoods.ablated, "estimate": found.estimates}
    return {
        "row_id": rows.ids,
        "sequence_id": rows.sequences,
        "domain": rows.domains,
        "inclusion_probability": rows.probabilities,
        "clean_hits": found.clean_hits[places].tolist(),
        "clean_log_probability": found.likelihoods.clean[places].tolist(),
    } | {name: as_lists(values.flatten(1)[places][:, heads].numpy()) for name, values in lists.items()}


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
    """By what heads are replaced, as keywords of `effects` and `estimated_changes`."""
    texts = None if donors is None else texts_of(donors, options["bos"])
    return {"by": options["replacement"], "means": read_means(means) if means else None, "donors": texts}


def read_estimates(path: Path, heads: int) -> list[np.ndarray]:
    """How much each of so many heads is estimated to matter, (heads,), to each group of the table of screened heads."""
    table = SCREENED.read(path)
    return list(table["estimate"].to_numpy().reshape(-1, heads))


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
    `done` is told of every row twice for each head: as it is continued, and as its true continuation is fed.
    """
    if not len(text):
        return no_effects(len(layers), checkpoint.heads)
    context, true = text[:, :-steps], text[:, -steps:]
    clean = continue_greedily(checkpoint, context, steps, batch_rows, draft=true).tokens
    every = dict.fromkeys(layers, torch.arange(checkpoint.heads)) if chosen is None else chosen
    hits = torch.zeros(len(text), len(layers), checkpoint.heads, dtype=torch.uint8)
    replacement: dict[str, Any] = {"by": by, "means": means, "donors": donors}
    which: dict[str, Any] = {"chosen": every, "done": done} | replacement
    ablations = ablate_heads(checkpoint, context, clean, batch_rows, layers=list(layers), **which)
    with keeping_recordings(checkpoint):
        for rows, layer, continuation in ablations:
            equal = continuation.tokens == true[rows.start : rows.stop, None]
            hits[rows.start : rows.stop, layer - layers.start, every[layer]] = equal.sum(dim=-1).to(torch.uint8)
    arguments = (checkpoint, text, steps, batch_rows, layers)
    return Effects(
        (clean == true).sum(dim=1).to(torch.uint8),
        hits,
        head_likelihoods(*arguments, **which),
        estimated_changes(*arguments, **replacement),
    )


def no_effects(layers: int, heads: int) -> Effects:
    """Those of no row."""
    hits, numbers = torch.zeros(0, layers, heads, dtype=torch.uint8), torch.zeros(0, layers, heads)
    return Effects(torch.zeros(0, dtype=torch.uint8), hits, Likelihoods(torch.zeros(0), numbers), numbers)
