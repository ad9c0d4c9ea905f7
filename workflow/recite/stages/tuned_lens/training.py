"""Training translators: every layer is to say, after its map, what the model says in the end.

The loss of a layer is the Kullback-Leibler divergence of what it says from the model's distribution, KL(model | layer),
at every position of the text. Optimizer as in arXiv 2303.08112: gradient descent with Nesterov momentum 0.9, gradients
of a layer's of norm 1 at most, decay of 1e-3 towards the identity, a rate that falls linearly.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.decoding import logits_of
from recite.engine.memory import halving
from recite.engine.passes import check_length
from recite.engine.residuals import prompts, run
from recite.engine.rows import Rows, read_rows
from recite.errors import ReciteError
from recite.files import hash64, sha256_file
from recite.progress import Done, Progress, unseen
from recite.stages.lens.layers import decoded_layers
from recite.stages.tuned_lens.kept import kept_rows
from recite.stages.tuned_lens.rows import KEPT, TRANSLATION
from recite.stages.tuned_lens.translators import Translators, identities, last_device

RATE = 0.3
"""First learning rate."""
MOMENTUM, DECAY, CLIP_NORM = 0.9, 1e-3, 1.0
GROUP_BYTES = 4 * 10**9
"""Memory for the translators that are trained beside each other, at HELD bytes a number."""
HELD = 16
"""Bytes of a translator's number while it is trained: itself, its gradient, momentum, and what passes."""
TOKENS = 512
"""Positions that are unembedded at once."""
CHECKED = 64
"""Measured rows on which the translators are held against none, before and after; nothing is chosen by them."""


def train_translators(
    options: Mapping[str, Any],
    shards: Sequence[Path],
    checkpoint: Path,
    translators: Path,
    kept: Path,
    training: Path,
    threads: int,
) -> None:
    """Choose rows to train on, train the translators of one model on them, and write what each layer gained.

    `options` are those of scoring with rows_per_domain, layer_stride, training_share, steps, step_rows and seed. `kept`
    says of every row whether it was trained on; `training` has a line a layer.
    """
    torch.set_num_threads(threads)
    rows = read_rows(shards, options["rows_per_domain"])
    chosen = torch.from_numpy(kept_rows(rows, options["training_share"], options["seed"]))
    loaded = load_checkpoint(checkpoint, options["dtype"], options["step_rows"])
    loaded.model.requires_grad_(False)
    text = torch.cat([prompts(rows, options["bos"]), rows.continuation], dim=1)
    length = rows.context.shape[1] + rows.continuation.shape[1] - 1
    layers = decoded_layers(len(loaded.layers), options["layer_stride"])
    plain = identities(loaded, layers)
    checked = checked_rows(rows, (~chosen).nonzero()[:, 0].tolist(), options["seed"])
    print(f"{options['model']}: {int(chosen.sum())} of {len(text)} rows to train on, {loaded.device}", flush=True)

    def call(size: int) -> tuple[Translators, list[Tensor]]:
        steps = options["steps"] * len(groups([*plain.bias], int(loaded.model.config.hidden_size)))
        found = trained(loaded, text[chosen], length, options, size, Progress(steps, "steps"), layers)
        both = plain.placed(last_device(loaded)), found
        return found, [divergence(loaded, text[checked], length, each, size) for each in both]

    (found, divergences), batch_rows = halving(call, options["batch_rows"])
    found.save(translators)
    metadata = {
        "options": dict(options),
        "batch_rows": batch_rows,
        "translators_sha256": sha256_file(translators),
        "weights_sha256": loaded.weights_sha256,
        "device": loaded.device,
        "dtype": loaded.dtype,
    }
    columns = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains, "kept": chosen.tolist()}
    KEPT.write(kept, columns, metadata)
    before, after = (values.tolist() for values in divergences)
    lines = {"layer": [*plain.bias], "before": before, "after": after}
    TRANSLATION.write(training, lines, metadata | {"rows": int(chosen.sum()), "checked_rows": len(checked)})


def checked_rows(rows: Rows, measured: Sequence[int], seed: int) -> list[int]:
    """Places of up to CHECKED of the `measured` rows, those of the smallest hashes."""
    return sorted(measured, key=lambda place: hash64(seed, "checked", rows.ids[place]))[:CHECKED]


def trained(
    checkpoint: Checkpoint,
    text: Tensor,
    length: int,
    recipe: Mapping[str, Any],
    batch_rows: int,
    done: Done = unseen,
    layers: Sequence[int] | None = None,
) -> Translators:
    """Translators of a model after `steps` of `step_rows` of the rows `text`, (rows, tokens) int64, each.

    All but the last token are fed, up to `batch_rows` rows a pass, and the last `length` positions count. The order of
    the rows follows from the seed. The `layers`, all unless given, are trained apart from each other, as many beside
    each other as memory is for; `done` is told of every step of these. The model's own weights must want no gradient.
    ReciteError where a loss is not finite.
    """
    check_length(checkpoint, text.shape[1] - 1)
    found, device = identities(checkpoint, layers), last_device(checkpoint)
    for group in groups([*found.bias], int(checkpoint.model.config.hidden_size)):
        own = Translators(*({layer: part[layer].to(device).requires_grad_() for layer in group} for part in found))
        pairs = [{"params": [part[layer] for part in own]} for layer in group]
        optimizer = torch.optim.SGD(pairs, lr=RATE, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)
        for step, chosen in enumerate(drawn(len(text), recipe)):
            for part in chosen.split(batch_rows):
                passed = streams(checkpoint, text[part], length)
                refuse_divergence(divergences_of(checkpoint, passed, own, len(part) / len(chosen)), step, recipe)
            for pair in optimizer.param_groups:
                pair["lr"] = RATE * (1 - step / recipe["steps"])
                torch.nn.utils.clip_grad_norm_(pair["params"], CLIP_NORM)
            optimizer.step()
            optimizer.zero_grad()
            done(1)
        for kept, part in zip(found, own, strict=True):
            kept |= {layer: tensor.detach().cpu() for layer, tensor in part.items()}
    return found.placed(device)


def groups(layers: Sequence[int], width: int) -> list[Sequence[int]]:
    """Layers in groups whose translators, with what trains them, take at most GROUP_BYTES."""
    size = max(1, GROUP_BYTES // (HELD * width * (width + 1)))
    return [layers[start : start + size] for start in range(0, len(layers), size)]


def refuse_divergence(losses: Tensor, step: int, recipe: Mapping[str, Any]) -> None:
    """ReciteError if one of the losses is not finite."""
    if not losses.isfinite().all():
        raise ReciteError(
            f"tuned_lens: the loss of step {step} of {recipe['steps']} is not finite; set another `dtype`, or "
            "leave the model out."
        )


def drawn(rows: int, recipe: Mapping[str, Any]) -> Iterator[Tensor]:
    """Which rows each step takes: all of them in a random order, then all in another."""
    order, size = torch.zeros(0, dtype=torch.int64), min(rows, recipe["step_rows"])
    generator = torch.Generator().manual_seed(hash64("translators", recipe["seed"]) >> 1)
    for _ in range(recipe["steps"]):
        if len(order) < size:
            order = torch.cat([order, torch.randperm(rows, generator=generator)])
        yield order[:size]
        order = order[size:]


def divergence(checkpoint: Checkpoint, text: Tensor, length: int, translators: Translators, batch_rows: int) -> Tensor:
    """Mean divergence from the model of every layer that has a translator, over rows and positions: (layers,) nats."""
    total = torch.zeros(len(translators.bias), dtype=torch.float64)
    for part in text.split(batch_rows):
        total += len(part) * divergences_of(checkpoint, streams(checkpoint, part, length), translators)
    return total / len(text)


@torch.no_grad()
def streams(checkpoint: Checkpoint, text: Tensor, length: int) -> list[Tensor]:
    """The output of every layer at the last `length` positions that are fed, each (rows x length, width)."""
    found: list[Tensor] = []
    run(checkpoint, text[:, :-1], lambda _, hidden: found.append(hidden[:, -length:].flatten(0, 1)))
    return found


def divergences_of(
    checkpoint: Checkpoint, passed: Sequence[Tensor], translators: Translators, learnt: float = 0
) -> Tensor:
    """KL(model | layer) of every layer that has a translator, mean over positions: (layers,) float64, nats.

    `passed` hold what each layer hands on, (positions, width). Where `learnt` is above 0, the gradients of so many
    times these means are added to the translators'.
    """
    total = torch.zeros(len(translators.bias), dtype=torch.float64)
    positions = len(passed[-1])
    for start in range(0, positions, TOKENS):
        with torch.no_grad():
            said = logits_of(checkpoint, passed[-1][start : start + TOKENS]).float().log_softmax(-1)
        for place, layer in enumerate(translators.bias):
            with torch.set_grad_enabled(learnt > 0):
                translated = translators.translated(layer, passed[layer][start : start + TOKENS])
                logs = logits_of(checkpoint, translated).float().log_softmax(-1)
                apart = torch.nn.functional.kl_div(logs, said, log_target=True, reduction="sum") / positions
            if learnt:
                (learnt * apart).backward()
            total[place] += apart.item()
    return total
