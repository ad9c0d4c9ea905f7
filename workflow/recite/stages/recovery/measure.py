"""Recovery from noise: how alike the disturbed and the undisturbed residual stream are after every later layer.

cos_l = mean over the prompt's positions of <h_l, h'_l> / (|h_l| |h'_l|), with h_l the output of layer l and h'_l the
same under noise. In the disturbed layer it is what the noise itself leaves, 1 / sqrt(1 + alpha^2) for a wide one.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import Intervention, Pass
from recite.engine.finite import at_rows, naming, refuse_non_finite
from recite.engine.interventions import ResidualNoise
from recite.engine.memory import halving
from recite.engine.passes import check_length, whole_rows
from recite.engine.residuals import batches, output_changed, prompts, run
from recite.engine.rows import read_rows
from recite.errors import ReciteError
from recite.progress import Done, Progress, unseen
from recite.stages.recovery.rows import RECOVERED
from recite.tables.lists import as_lists


def measure_recovery(
    options: Mapping[str, Any], alpha: float, shards: Sequence[Path], checkpoint: Path, recovery: Path, threads: int
) -> None:
    """Write the cosines of one model at noise strength `alpha` on some shards of its sample, rows in shard order.

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

    def call(size: int) -> Tensor:
        return cosines(loaded, prompt, disturb, noise["layer"], size, Progress(len(prompt)))

    with naming(options["model"], rows.ids):
        found, batch_rows = halving(call, options["batch_rows"])
    columns = {
        "row_id": rows.ids,
        "sequence_id": rows.sequences,
        "domain": rows.domains,
        "cosines": as_lists(found.numpy()),
    }
    metadata = {
        "options": dict(options),
        "alpha": alpha,
        "first_layer": noise["layer"],
        "layers": len(loaded.layers),
        "batch_rows": batch_rows,
        "continuation_tokens": rows.continuation.shape[1],
        "parameters": loaded.parameters,
        "weights_sha256": loaded.weights_sha256,
        "device": loaded.device,
        "dtype": loaded.dtype,
    }
    RECOVERED.write(recovery, columns, metadata)


@torch.inference_mode()
def cosines(
    checkpoint: Checkpoint, prompt: Tensor, disturb: Intervention, layer: int, batch_rows: int, done: Done = unseen
) -> Tensor:
    """Cosines of every row after every layer from the disturbed one, `layer`, on: (rows, layers - layer) float32.

    `prompt` (rows, length) are int64 token ids, of which every position counts. A pass feeds `batch_rows` rows (on a
    CPU fewer, see `whole_rows`) and, behind them, the same rows again, which are disturbed: nothing of the undisturbed
    run has to be kept. `done` is told the rows of every pass. Raises NotFiniteError where a cosine is not finite.
    """
    length = prompt.shape[1]
    check_length(checkpoint, length)
    size = whole_rows(checkpoint, batch_rows, 2 * length)
    found = torch.empty(len(prompt), len(checkpoint.layers) - layer)
    for rows, chosen in batches(len(prompt), size):
        similar: list[Tensor] = []
        clean: list[Tensor] = []

        def set_apart(hidden: Tensor, clean: list[Tensor] = clean) -> Tensor:
            clean.append(hidden[:size])
            return hidden[size:]

        def bring_together(disturbed: Tensor, clean: list[Tensor] = clean) -> Tensor:
            return torch.cat([clean.pop(), disturbed])

        def compare(_: int, hidden: Tensor, similar: list[Tensor] = similar) -> None:
            similar.append(mean_cosine(hidden[:size], hidden[size:]).cpu())

        module = checkpoint.layers[layer]
        with ExitStack() as stack:
            stack.enter_context(output_changed(module, set_apart))
            stack.enter_context(disturb(Pass(chosen.tolist(), 0, length)))
            stack.enter_context(output_changed(module, bring_together))
            run(checkpoint, prompt[chosen].repeat(2, 1), compare, layer)
        found[rows] = torch.stack(similar, dim=1)[: rows.stop - rows.start].float()
        with at_rows(chosen):
            refuse_non_finite(found[rows], "residual streams", checkpoint.dtype)
        done(rows.stop - rows.start)
    return found


def mean_cosine(clean: Tensor, disturbed: Tensor) -> Tensor:
    """Mean over the positions of the cosine of two residual streams, both (rows, positions, width): (rows,) float64.

    The sums are taken in float64, so that equal streams give exactly 1.
    """

    def product(a: Tensor, b: Tensor) -> Tensor:
        return (a.float() * b.float()).sum(dim=-1, dtype=torch.float64)

    norms = (product(clean, clean) * product(disturbed, disturbed)).sqrt()
    return (product(clean, disturbed) / norms).mean(dim=-1)
