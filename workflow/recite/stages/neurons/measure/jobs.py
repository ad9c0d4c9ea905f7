"""The jobs: rank the neurons of drawn rows, take sets of them out, and write what is left; of a model or a sibling."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.finite import naming
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.residuals import texts_of
from recite.outcomes.means import MEMORIZED
from recite.progress import Progress
from recite.stages.neurons.measure.ablation import Without, without_sets
from recite.stages.neurons.measure.attribution import activations, attributions, neuron_means
from recite.stages.neurons.measure.drawing import Asked, ask, ask_of_sibling
from recite.stages.neurons.measure.sets import Ranked, Ranking, halves_of, layers_of, sets_of
from recite.stages.neurons.rows import (
    ATTRIBUTION,
    CARRIERS,
    CLASS_NEURONS,
    DIFFERENCE,
    DISTANCE,
    NEURON_ROWS,
    RANKINGS,
    SIBLING_RANKINGS,
    TOP,
)
from recite.tables.lists import as_lists


class Loaded(NamedTuple):
    """A model, and of a sibling its twin."""

    model: Checkpoint
    twin: Checkpoint | None = None


class Found(NamedTuple):
    """What was found of rows.

    layers: neurons of each. ladder: sizes of sets. bare, attributed: (rows,) nats. attribution: (rows, TOP or fewer),
    of the row's foremost neurons. without: without sets, of which the first is empty.
    """

    layers: list[int]
    ladder: list[int]
    ranked: Ranked
    bare: np.ndarray
    attributed: np.ndarray
    attribution: np.ndarray
    without: Without


def measure_neurons(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    shards: Sequence[Path],
    checkpoint: Path,
    neuron_rows: Path,
    class_neurons: Path,
    threads: int,
) -> None:
    """Rank the neurons of rows drawn by class under one model, and ablate the foremost.

    `options` are those of scoring with `classes` (class -> how many rows of a domain), their thresholds, `points` of
    the path, the `ladder` of sizes and the seed. `scores` and `shards` are all of the model's.
    """
    torch.set_num_threads(threads)
    asked = ask(options, scores, shards)
    loaded = Loaded(load_checkpoint(checkpoint, options["dtype"], options["batch_rows"]))
    write(options, asked, loaded, MEMORIZED, RANKINGS, neuron_rows, class_neurons)


def measure_siblings(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    twin_scores: Sequence[Path],
    halves: Path,
    shards: Sequence[Path],
    checkpoint: Path,
    twin: Path,
    neuron_rows: Path,
    class_neurons: Path,
    threads: int,
) -> None:
    """The same of a sibling, by what it recites and its twin does not; ranked by how far the two are apart, too.

    `options["without"]` is the half of all texts that the sibling has not seen, and its twin has.
    """
    torch.set_num_threads(threads)
    asked = ask_of_sibling(options, scores, twin_scores, halves, shards)
    loaded = Loaded(*(load_checkpoint(path, options["dtype"], options["batch_rows"]) for path in (checkpoint, twin)))
    write(options, asked, loaded, CARRIERS, SIBLING_RANKINGS, neuron_rows, class_neurons)


def write(
    options: Mapping[str, Any],
    asked: Asked,
    loaded: Loaded,
    carriers: str,
    rankings: Sequence[str],
    neuron_rows: Path,
    class_neurons: Path,
) -> None:
    """Measure the rows and write both tables; without a line where carriers have fewer than two texts."""
    texts, places = asked.each_text()
    rows, model = texts.rows, loaded.model
    halves = halves_of(rows.sequences, texts.groups == carriers, options["seed"])
    about = made(
        options,
        model,
        options["batch_rows"],
        continuation_tokens=rows.continuation.shape[1],
        rankings=list(rankings),
    )
    if (texts.groups == carriers).sum() < 2:
        print(f"{options['model']}: its carriers have fewer than two texts; none is left to rank by.", flush=True)
        empty: dict[str, Any] = {"ladder": [], "layers": []}
        for table, path in ((NEURON_ROWS, neuron_rows), (CLASS_NEURONS, class_neurons)):
            table.write(path, {name: [] for name in table.names}, about | empty)
        return
    print(f"{options['model']}: {len(rows.ids)} texts of {len(places)} rows on {model.device}", flush=True)
    with naming(options["model"], rows.ids):
        found, batch_rows = halving(
            lambda size: measured(options, texts, loaded, halves, carriers, rankings, size), options["batch_rows"]
        )
    about |= {"batch_rows": batch_rows, "ladder": found.ladder, "layers": found.layers}
    NEURON_ROWS.write(neuron_rows, row_columns(asked, places, halves, found), about)
    CLASS_NEURONS.write(class_neurons, class_columns(found), about)


def measured(
    options: Mapping[str, Any],
    asked: Asked,
    loaded: Loaded,
    halves: np.ndarray,
    carriers: str,
    rankings: Sequence[str],
    batch_rows: int,
) -> Found:
    """Rank and ablate, in batches of `batch_rows` rows, one of each text; `carriers` is the group that ranks a class's.

    Neurons' means, and the class's, are over these rows.
    """
    rows, model = asked.rows, loaded.model
    text, steps = texts_of(rows, options["bos"]), rows.continuation.shape[1]
    layers = [model.neurons(layer) for layer in range(len(model.layers))]
    ladder = sorted({min(k, sum(layers)) for k in options["ladder"]})
    ranking = Ranking(halves, asked.groups == carriers, max(min(TOP, sum(layers)), *ladder))
    means = neuron_means(model, text, steps, batch_rows)
    bare, attributed, foremost = [], [], []
    progress = Progress(len(text))
    for part in attributions(model, text, steps, batch_rows, means, options["points"], progress):
        ranking.add(part.rows, ATTRIBUTION, part.attribution)
        ranking.add(part.rows, DISTANCE, part.distance)
        bare.append(part.bare.numpy())
        attributed.append(part.attribution.double().sum(dim=1).float().cpu().numpy())
        foremost.append(part.attribution.topk(min(TOP, sum(layers)), dim=1).values.cpu().numpy())
    if loaded.twin:
        for place, apart in differences(loaded, asked, options, batch_rows):
            ranking.add(place, DIFFERENCE, apart)
    ranked = ranking.ranked()
    sets = sets_of(ranked, rankings, ladder, layers, rows.sequences, halves, options["seed"])
    with_none = ([np.zeros(0, np.int64), *own] for own in sets)
    without = without_sets(model, text, steps, batch_rows, with_none, means, Progress(len(text)))
    joined = [np.concatenate(part) for part in (bare, attributed, foremost)]
    return Found(layers, ladder, ranked, joined[0], joined[1], joined[2], without)


def differences(
    loaded: Loaded, asked: Asked, options: Mapping[str, Any], batch_rows: int
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Rows, and how far each neuron's activations are from its twin's, mean over positions, (rows, neurons)."""
    assert loaded.twin is not None
    text, steps = texts_of(asked.rows, options["bos"]), asked.rows.continuation.shape[1]
    both = (activations(one, text, steps, batch_rows) for one in (loaded.model, loaded.twin))
    for (rows, own), (_, others) in zip(*both, strict=True):
        pairs = zip(own, others, strict=True)
        yield rows, torch.cat([(a.float() - b.float()).abs().mean(dim=1).cpu() for a, b in pairs], dim=1)


def row_columns(asked: Asked, places: np.ndarray, halves: np.ndarray, found: Found) -> dict[str, Any]:
    """Columns of the table of rows, of which each has what was `found` at the place of its text, as `halves`."""
    rows, top = asked.rows, found.attribution.shape[1]
    where = layers_of(found.ranked.own[ATTRIBUTION][places, :top], found.layers)
    hits = found.without.hits.numpy().astype(np.uint8)[places]
    likely = found.without.log_probability.numpy()[places]
    return {
        "row_id": rows.ids,
        "sequence_id": rows.sequences,
        "domain": rows.domains,
        "inclusion_probability": rows.probabilities,
        "group": asked.groups.tolist(),
        "drawn_share": asked.shares,
        "half": halves[places].astype(np.uint8).tolist(),
        "clean_hits": hits[:, 0].tolist(),
        "clean_log_probability": likely[:, 0].tolist(),
        "bare_log_probability": found.bare[places].tolist(),
        "attributed": found.attributed[places].tolist(),
        **{f"top_{name}": as_lists(values) for name, values in where.items()},
        "top_attribution": as_lists(found.attribution[places]),
        "hits": as_lists(hits[:, 1:]),
        "log_probability": as_lists(likely[:, 1:]),
    }


def class_columns(found: Found) -> dict[str, Any]:
    """Columns of the table of the class's neurons: the foremost of both halves."""
    numbers, most = found.ranked.of_class[ATTRIBUTION], found.ranked.values.shape[1]
    where = layers_of(numbers.ravel(), found.layers)
    return {"half": np.repeat([0, 1], most).tolist(), "attribution": found.ranked.values.ravel().tolist()} | {
        name: values.tolist() for name, values in where.items()
    }
