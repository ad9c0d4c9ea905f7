"""Extraction by sampling: how probable the whole true continuation is where each token is drawn instead of chosen.

p_z = prod_k p(x_k | x_<k) under a decoding scheme (Hayes et al. 2024, arXiv 2410.19482): logits over a temperature; of
these the top k, and ties with the last; of those the fewest that reach the probability top_p, and ties; renormalized at
each position. A true token that is left out makes p_z 0. One pass over context and true continuation (teacher forcing)
gives p_z under all schemes; nothing is drawn.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import Intervention, Pass
from recite.engine.finite import at_rows, naming, refuse_non_finite
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.passes import check_length, forward, whole_rows
from recite.engine.residuals import Unkept, batches, prompts
from recite.engine.rows import read_rows
from recite.errors import ReciteError
from recite.progress import Done, Progress, unseen
from recite.stages.extraction.rows import EXTRACTED
from recite.tables.lists import as_lists


class Scheme(NamedTuple):
    """How a token is drawn; as the model says unless one of these is given."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None


def measure_extraction(
    options: Mapping[str, Any], alpha: float, shards: Sequence[Path], checkpoint: Path, extracted: Path, threads: int
) -> None:
    """Write p_z of the first `rows_per_domain` rows of every domain of one model's sample, under every scheme.

    `options` hold model, family, bos, batch_rows, dtype, rows_per_domain, schemes (name -> fields of `Scheme`) and, at
    a noise strength `alpha` above 0, `noise` with seed, layer, rms and positions: the noise of the scores under noise.
    """
    torch.set_num_threads(threads)
    rows = read_rows(shards, options["rows_per_domain"])
    schemes = [Scheme(**scheme) for _, scheme in sorted(options["schemes"].items())]
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    disturb = disturbance(loaded, options, alpha, rows.ids) if alpha else None
    text = torch.cat([prompts(rows, options["bos"]), rows.continuation], dim=1)
    steps = rows.continuation.shape[1]
    print(f"{options['model']}: {len(text)} rows on {loaded.device}", flush=True)

    def call(size: int) -> Tensor:
        return extraction(loaded, text, steps, size, schemes, disturb, Progress(len(text)))

    with naming(options["model"], rows.ids):
        found, batch_rows = halving(call, options["batch_rows"])
    columns = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains}
    columns |= {"inclusion_probability": rows.probabilities, "log_probability": as_lists(found.numpy())}
    metadata = made(options, loaded, batch_rows, continuation_tokens=steps, teacher_forced=True)
    EXTRACTED.write(extracted, columns, metadata | ({"alpha": alpha} if alpha else {}))


def disturbance(loaded: Checkpoint, options: Mapping[str, Any], alpha: float, ids: np.ndarray) -> ResidualNoise:
    """The noise of one strength; ReciteError for a layer that the model does not have."""
    noise = options["noise"]
    if noise["layer"] >= len(loaded.layers):
        raise ReciteError(
            f"model {options['model']} has {len(loaded.layers)} layers, noise.layers has {noise['layer']}; "
            "choose layers that all models of noise.models have."
        )
    return ResidualNoise(loaded, noise["layer"], ids, alpha, noise["seed"], noise["rms"], noise["positions"])


@torch.inference_mode()
def extraction(
    checkpoint: Checkpoint,
    text: Tensor,
    steps: int,
    batch_rows: int,
    schemes: Sequence[Scheme],
    disturb: Intervention | None = None,
    done: Done = unseen,
) -> Tensor:
    """Log-probability of the last `steps` tokens of each row together under each scheme, (rows, schemes) float32, nats.

    `text` (rows, prompt + steps) are int64 token ids, of which all but the last are fed, `batch_rows` rows a pass (see
    `whole_rows`), under `disturb` where given; `done` is told the rows of every pass. Raises NotFiniteError where the
    model's logits are not finite.
    """
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    found = torch.empty(len(text), len(schemes))
    for rows, chosen in batches(len(text), whole_rows(checkpoint, batch_rows, fed)):
        with disturb(Pass(chosen.tolist(), 0, text.shape[1] - steps)) if disturb else nullcontext():
            logits = forward(checkpoint, text[chosen, :-1].to(checkpoint.model.device), Unkept(), steps)
        true = text[chosen, -steps:, None].to(logits.device)
        # Position by position: in float32 all of them would take as much memory again as the logits.
        total = torch.zeros(len(chosen), len(schemes), dtype=torch.float64, device=logits.device)
        for step in range(steps):
            position = logits[:, step].float()
            each = [position_log_probability(position, true[:, step], scheme) for scheme in schemes]
            total += torch.stack(each, dim=1)
        with at_rows(chosen):  # -inf is a token that is never drawn
            refuse_non_finite(total.masked_fill(total == -torch.inf, 0), "likelihoods", checkpoint.dtype)
        found[rows] = total[: rows.stop - rows.start].float().cpu()
        done(rows.stop - rows.start)
    return found


def position_log_probability(logits: Tensor, true: Tensor, scheme: Scheme) -> Tensor:
    """Log-probability that the tokens `true` (rows, 1) are drawn from `logits` (rows, vocabulary) float32: (rows,)."""
    logits = logits / scheme.temperature
    if scheme.top_k is not None:
        least = logits.topk(min(scheme.top_k, logits.shape[1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if scheme.top_p is not None:
        ordered = logits.sort(descending=True).values
        shares = ordered.softmax(dim=-1)
        kept = (shares.cumsum(dim=-1) - shares < scheme.top_p).sum(dim=-1, keepdim=True)
        logits = logits.masked_fill(logits < ordered.gather(-1, kept - 1), -torch.inf)
    return logits.log_softmax(dim=-1).gather(-1, true).squeeze(-1)
