"""The stage of sublayers: what drawn rows lose by the attention and by the MLP of each layer of one model.

Lost are hits of the greedy continuation and log-probability of the true one, which the model is fed. Layers below the
sublayer's are not run again, as in the ablation of heads.

Memory, beside that of `continue_greedily`: `recite.engine.activations.trace` of `batch_rows` rows, and the nodes of
`recite.engine.branches.Branches` that these may have.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.activations import trace
from recite.engine.branches import Restart
from recite.engine.continuation import Intervention, Pass, continue_greedily
from recite.engine.finite import at_rows, naming
from recite.engine.interventions.joint import together
from recite.engine.interventions.sublayers import SublayerReplacement
from recite.engine.likelihoods import given, handed_on, log_probabilities, mean_states, states_of
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.passes import check_length, replaced, whole_rows
from recite.engine.residuals import batches, texts_of
from recite.engine.rows import run_once, taken
from recite.progress import Done, Progress, unseen
from recite.stages.drawn import read_drawn
from recite.stages.sublayers.rows import SUBLAYER_MEANS, SUBLAYERS, WITHOUT_SUBLAYERS
from recite.tables.lists import as_array, as_lists

By = Literal["zero", "dataset_mean", "resample"]


class Losses(NamedTuple):
    """Some rows with and without each sublayer.

    clean_hits: (rows,), hits: (rows, layers, SUBLAYERS), both uint8. clean: (rows,), log_probability: (rows, layers,
    SUBLAYERS), both float32: of the true continuation, the sum over its tokens, nats.
    """

    clean_hits: Tensor
    hits: Tensor
    clean: Tensor
    log_probability: Tensor


def measure_sublayers(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    shards: Sequence[Path],
    checkpoint: Path,
    means: Path | None,
    without: Path,
    threads: int,
) -> None:
    """Write a line for every row of some domains that is drawn by its class under one model.

    `options` are those of scoring with `domains`, `classes`, their thresholds, the seed and `replacement`; `means` is
    the file of the sublayers' mean outputs where these are the replacement.
    """
    torch.set_num_threads(threads)
    drawn = read_drawn(scores, shards, options, lent=options["replacement"] == "resample")
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    rows, steps = drawn.rows, drawn.rows.continuation.shape[1]
    run, places = run_once(rows, alone=drawn.donors is None)
    text = texts_of(rows, options["bos"])[run]
    donors = None if drawn.donors is None else texts_of(taken(drawn.donors, run), options["bos"])
    print(f"{options['model']}: {len(rows.ids)} rows of {len(text)} texts on {loaded.device}", flush=True)

    def call(size: int) -> Losses:
        done = Progress(2 * len(text) * len(loaded.layers) * len(SUBLAYERS), "continuations")
        values = None if means is None else read_means(means)
        return losses(loaded, text, steps, size, by=options["replacement"], means=values, donors=donors, done=done)

    with naming(options["model"], [rows.ids[row] for row in run]):
        found, batch_rows = halving(call, options["batch_rows"])
    columns = {"clean_hits": found.clean_hits[places].tolist(), "clean_log_probability": found.clean[places].tolist()}
    for name, values in (("hits", found.hits), ("log_probability", found.log_probability)):
        columns[name] = as_lists(values.flatten(1)[places].numpy())
    about = made(options, loaded, batch_rows, continuation_tokens=steps, layers=len(loaded.layers))
    WITHOUT_SUBLAYERS.write(without, drawn.columns | columns, about)


def measure_means(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    shards: Sequence[Path],
    checkpoint: Path,
    means: Path,
    threads: int,
) -> None:
    """Write the mean output of every sublayer over all drawn rows of a model, each of which is fed whole."""
    torch.set_num_threads(threads)
    rows = read_drawn(scores, shards, options).rows
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    text = texts_of(rows, options["bos"])
    names = [(layer, sublayer) for layer in range(len(loaded.layers)) for sublayer in SUBLAYERS]
    modules = [loaded.sublayer(*name) for name in names]
    found, batch_rows = halving(
        lambda size: mean_states(loaded, text, size, modules, handed_on, Progress(len(text))), options["batch_rows"]
    )
    columns = {"layer": [layer for layer, _ in names], "sublayer": [sublayer for _, sublayer in names]}
    columns["mean"] = as_lists(torch.stack(found).numpy())
    SUBLAYER_MEANS.write(means, columns, made(options, loaded, batch_rows))


def read_means(path: Path) -> Tensor:
    """Every sublayer's mean output, (layers, SUBLAYERS, width)."""
    means = as_array(SUBLAYER_MEANS.read(path)["mean"]).copy()
    return torch.from_numpy(means).unflatten(0, (-1, len(SUBLAYERS)))


def losses(
    checkpoint: Checkpoint,
    text: Tensor,
    steps: int,
    batch_rows: int,
    *,
    by: By = "zero",
    means: Tensor | None = None,
    donors: Tensor | None = None,
    done: Done = unseen,
) -> Losses:
    """Continue `text` (rows, prompt + `steps`; int64 token ids) from its prompt, with and without every sublayer.

    `means` are those of `read_means`; `donors`, of the shape of `text`, the texts whose outputs the rows take. `done`
    is told of every row twice for each sublayer: as it is continued, and as its true continuation is fed. The
    undisturbed continuation is made in the same batches as the others.
    """
    check_length(checkpoint, text.shape[1] - 1)
    context, true = text[:, :-steps], text[:, -steps:]
    clean = continue_greedily(checkpoint, context, steps, batch_rows, draft=true).tokens
    shape = len(text), len(checkpoint.layers), len(SUBLAYERS)
    found = Losses(
        (clean == true).sum(dim=1).to(torch.uint8),
        torch.zeros(shape, dtype=torch.uint8),
        torch.zeros(len(text)),
        torch.zeros(shape),
    )
    for start in range(0, len(text), batch_rows):
        rows = slice(start, min(start + batch_rows, len(text)))
        without = Replacements(checkpoint, batch_rows, by, means, None if donors is None else donors[rows])
        with at_rows(range(rows.start, rows.stop)):
            tokens = continued(checkpoint, context[rows], clean[rows], batch_rows, without, done)
        found.hits[rows] = (tokens == true[rows, None, None]).sum(dim=-1).to(torch.uint8)
    size = whole_rows(checkpoint, batch_rows, text.shape[1] - 1)
    for rows, batch in batches(len(text), size):
        kept = rows.stop - rows.start
        with at_rows(batch):
            without = Replacements(checkpoint, size, by, means, None if donors is None else donors[batch])
            clean_one, others = forced(checkpoint, text[batch], steps, without)
        found.clean[rows], found.log_probability[rows] = clean_one[:kept], others[:kept]
        done(kept * shape[1] * shape[2])
    return found


class Replacements:
    """What replaces the sublayers of some rows of text; row i of `donors`, if any, lends its outputs to row i."""

    def __init__(
        self, checkpoint: Checkpoint, batch_rows: int, by: By, means: Tensor | None, donors: Tensor | None
    ) -> None:
        self.checkpoint, self.by, self.donors = checkpoint, by, donors
        self.values: Sequence[Tensor | None] = [None] * len(SUBLAYERS) * len(checkpoint.layers)
        if means is not None:
            self.values = [*means.flatten(0, 1)]
        if donors is not None:
            modules = [
                checkpoint.sublayer(layer, name) for layer in range(len(checkpoint.layers)) for name in SUBLAYERS
            ]
            parts = states_of(checkpoint, donors, batch_rows, modules, handed_on)
            self.values = [torch.cat(of_module) for of_module in zip(*parts, strict=True)]

    def of(self, layer: int, rows: Tensor, places: Tensor) -> Intervention:
        """Row i, row `rows[i]` of the text, is without the sublayer SUBLAYERS[places[i]] of a layer."""
        return together(
            [
                SublayerReplacement(
                    self.checkpoint,
                    layer,
                    name,
                    self.by,
                    self.values[layer * len(SUBLAYERS) + place],
                    rows,
                    places == place,
                )
                for place, name in enumerate(SUBLAYERS)
            ]
        )


def pairs(rows: int) -> tuple[Tensor, Tensor]:
    """Every row with each of a layer's sublayers: rows, and places among SUBLAYERS, both (rows x SUBLAYERS,)."""
    return torch.arange(rows).repeat_interleave(len(SUBLAYERS)), torch.arange(len(SUBLAYERS)).repeat(rows)


def continued(
    checkpoint: Checkpoint, context: Tensor, clean: Tensor, batch_rows: int, without: Replacements, done: Done
) -> Tensor:
    """Continuations of `context` without each sublayer, (rows, layers, SUBLAYERS, steps); `clean` is that with all.

    Layers go from the last to the first: what lies below a layer also lies below those before it.
    """
    traced, steps, layers = trace(checkpoint, context, clean, batch_rows), clean.shape[1], len(checkpoint.layers)
    found = torch.empty(len(context), layers, len(SUBLAYERS), steps, dtype=torch.int64)
    rows, places = pairs(len(context))
    for layer in reversed(range(layers)):
        with at_rows(rows):
            continuation = continue_greedily(
                checkpoint,
                context[rows],
                steps,
                batch_rows,
                draft=clean[rows],
                intervention=without.of(layer, rows, places),
                restart=Restart(traced, layer, rows),
                block_batches=len(SUBLAYERS),
                done=done,
            )
        found[:, layer] = continuation.tokens.unflatten(0, (len(context), len(SUBLAYERS)))
    return found


@torch.inference_mode()
def forced(checkpoint: Checkpoint, text: Tensor, steps: int, without: Replacements) -> tuple[Tensor, Tensor]:
    """Log-probability of the last `steps` tokens of `text`: (rows,), and (rows, layers, SUBLAYERS) without each."""
    rows, prompt = torch.arange(len(text)), text.shape[1] - steps
    with given([*checkpoint.layers]) as entered:
        clean = log_probabilities(checkpoint, text, steps)
    found = torch.empty(len(text), len(checkpoint.layers), len(SUBLAYERS))
    for layer in range(len(checkpoint.layers)):
        for place in range(len(SUBLAYERS)):
            replacement = without.of(layer, rows, torch.full_like(rows, place))
            with replaced(checkpoint.layers[:layer], entered[layer]), replacement(Pass(rows.tolist(), 0, prompt)):
                found[:, layer, place] = log_probabilities(checkpoint, text, steps)
    return clean, found
