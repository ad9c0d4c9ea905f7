"""Recovery from noise: what becomes of the difference that noise makes, layer by layer, and of the similarity it takes.

With h_l the output of layer l, h'_l the same under noise, d_l = h'_l - h_l and eps = d_0 what the noise adds in the
disturbed layer, at every position of the prompt:

    cosine    <h_l, h'_l> / (|h_l| |h'_l|); in the disturbed layer 1 / sqrt(1 + alpha^2) for a wide one
    baseline  the same of h_l and h_l + eps: what the cosine would be if eps were only carried along. It rises where the
              stream grows, with nothing removed
    growth    |d_l| / |eps|: below 1 some of the difference is removed, above it is amplified
    along     <d_l, eps> / (|d_l| |eps|): how far the difference still is the noise itself
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import Intervention, Pass
from recite.engine.finite import at_rows, naming, refuse_non_finite
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.passes import check_length, whole_rows
from recite.engine.residuals import batches, output_changed, prompts, run
from recite.engine.rows import read_rows
from recite.errors import ReciteError
from recite.progress import Done, Progress, unseen
from recite.stages.recovery.rows import RECOVERED
from recite.tables.lists import as_lists


class Compared(NamedTuple):
    """Means over the positions of every row, (rows, layers) float32 or (rows,) float64; see above."""

    cosine: Tensor
    baseline: Tensor
    growth: Tensor
    along: Tensor


def measure_recovery(
    options: Mapping[str, Any], alpha: float, shards: Sequence[Path], checkpoint: Path, recovery: Path, threads: int
) -> None:
    """Write the comparison of one model at noise strength `alpha` on some shards of its sample, rows in shard order.

    `options` holds model, family, bos, batch_rows, dtype and, under `noise`, seed, layer and rms. The noise is that of
    the scores under noise, on the prompt, which is all that is fed.
    """
    torch.set_num_threads(threads)
    noise, rows = options["noise"], read_rows(shards)
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    if noise["layer"] >= len(loaded.layers):
        raise ReciteError(
            f"model {options['model']} has {len(loaded.layers)} layers, noise.layers has {noise['layer']}; "
            "choose layers that all models of recovery.models have."
        )
    disturb = ResidualNoise(loaded, noise["layer"], rows.ids, alpha, noise["seed"], noise["rms"], "prompt")
    prompt = prompts(rows, options["bos"])
    print(f"{options['model']}: {len(prompt)} rows, each twice, on {loaded.device}", flush=True)

    def call(size: int) -> Compared:
        return compared(loaded, prompt, disturb, noise["layer"], size, Progress(len(prompt)))

    with naming(options["model"], rows.ids):
        found, batch_rows = halving(call, options["batch_rows"])
    columns = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains}
    columns |= {name: as_lists(values.numpy()) for name, values in found._asdict().items()}
    metadata = made(
        options,
        loaded,
        batch_rows,
        alpha=alpha,
        first_layer=noise["layer"],
        layers=len(loaded.layers),
        continuation_tokens=rows.continuation.shape[1],
    )
    RECOVERED.write(recovery, columns, metadata)


@torch.inference_mode()
def compared(
    checkpoint: Checkpoint, prompt: Tensor, disturb: Intervention, layer: int, batch_rows: int, done: Done = unseen
) -> Compared:
    """The comparison of every row after every layer from the disturbed one, `layer`, on.

    `prompt` (rows, length) are int64 token ids, of which every position counts. A pass feeds `batch_rows` rows (on a
    CPU fewer, see `whole_rows`) and, behind them, the same rows again, which are disturbed: nothing of the undisturbed
    run has to be kept. `done` is told the rows of every pass. Raises NotFiniteError where a cosine is not finite.
    """
    length = prompt.shape[1]
    check_length(checkpoint, length)
    size = whole_rows(checkpoint, batch_rows, 2 * length)
    found = torch.empty(len(Compared._fields), len(prompt), len(checkpoint.layers) - layer)
    for rows, chosen in batches(len(prompt), size):
        made: list[Tensor] = []
        clean: list[Tensor] = []
        noise: list[Tensor] = []

        def set_apart(hidden: Tensor, clean: list[Tensor] = clean) -> Tensor:
            clean.append(hidden[:size])
            return hidden[size:]

        def bring_together(disturbed: Tensor, clean: list[Tensor] = clean) -> Tensor:
            return torch.cat([clean.pop(), disturbed])

        def compare(_: int, hidden: Tensor, made: list[Tensor] = made, noise: list[Tensor] = noise) -> None:
            if not noise:
                noise.append(hidden[size:].float() - hidden[:size].float())
            made.append(torch.stack(comparison(hidden[:size], hidden[size:], noise[0].to(hidden.device))).cpu())

        module = checkpoint.layers[layer]
        with ExitStack() as stack:
            stack.enter_context(output_changed(module, set_apart))
            stack.enter_context(disturb(Pass(chosen.tolist(), 0, length)))
            stack.enter_context(output_changed(module, bring_together))
            run(checkpoint, prompt[chosen].repeat(2, 1), compare, layer)
        found[:, rows] = torch.stack(made, dim=2)[:, : rows.stop - rows.start].float()
        with at_rows(chosen):
            refuse_non_finite(found[0, rows], "residual streams", checkpoint.dtype)
        done(rows.stop - rows.start)
    return Compared(*found)


def comparison(clean: Tensor, disturbed: Tensor, noise: Tensor) -> Compared:
    """Means over the positions of two residual streams and of the noise, all (rows, positions, width): (rows,) float64.

    The sums are taken in float64, so that equal streams have a cosine of exactly 1. A position without noise has no
    growth, and one without difference no direction; a row of which no position has one is NaN.
    """
    clean, noise = clean.float(), noise.float()
    difference = disturbed.float() - clean
    return Compared(
        _cosine(clean, disturbed.float()).mean(dim=-1),
        _cosine(clean, clean + noise).mean(dim=-1),
        (_product(difference, difference) / _product(noise, noise)).sqrt().nanmean(dim=-1),
        _cosine(difference, noise).nanmean(dim=-1),
    )


def _product(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(dim=-1, dtype=torch.float64)


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    return _product(first, second) / (_product(first, first) * _product(second, second)).sqrt()
