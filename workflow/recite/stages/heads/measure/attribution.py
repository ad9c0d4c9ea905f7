"""How much every head matters to every row, estimated to first order from one pass forward and one backward.

To first order a replaced output changes the log-probability of the true continuation by its gradient x the difference
of the two outputs, for all heads at once; exact ablation runs the model once for each. A trained model is near an
optimum: what positions and rows gain and lose to first order cancels, while what a replacement costs grows with the
size of the change. So sizes are added up, position by position (the Taylor criterion, Molchanov et al. 2017; signed, as
in attribution patching, Nanda 2023, chance finds as many of the mini study's heads that matter).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.finite import at_rows, refuse_non_finite
from recite.engine.interventions.heads import HeadReplacement, Replacement
from recite.engine.likelihoods import slopes
from recite.progress import Done, unseen
from recite.stages.heads.measure.continuations import pairs
from recite.stages.heads.measure.likelihoods import replacing


def estimated_changes(
    checkpoint: Checkpoint,
    text: Tensor,
    steps: int,
    batch_rows: int,
    layers: range,
    *,
    done: Done = unseen,
    **how: Any,
) -> Tensor:
    """Size of the change that each head of `layers` makes to each row, nats, (rows, layers, heads) float32 on the CPU.

    The sum over positions of the sizes of `contributions`, whose arguments these are; `done` is told every pass's rows.
    """
    found = torch.empty(len(text), len(layers), checkpoint.heads)
    for rows, parts in contributions(checkpoint, text, steps, batch_rows, layers, **how):
        found[rows] = parts.abs().sum(dim=-1)
        done(rows.stop - rows.start)
    return found


def contributions(
    checkpoint: Checkpoint,
    text: Tensor,
    steps: int,
    batch_rows: int,
    layers: range,
    *,
    by: Replacement = "mean_of_others",
    means: Sequence[Tensor] | None = None,
    donors: Tensor | None = None,
) -> Iterator[tuple[slice, Tensor]]:
    """Rows, and what each position of each head of `layers` adds to the log-probability of their last `steps` tokens.

    Beside its replacement, to first order, nats: (rows, layers, heads, positions) float32 on the CPU. The arguments are
    those of `head_likelihoods`; for the rows of a pass see `slopes`.
    """
    heads = checkpoint.heads
    projections = [checkpoint.attention_output(layer) for layer in layers]
    for rows, chosen, outputs, gradients in slopes(checkpoint, text, steps, batch_rows, projections):
        row, head = pairs(len(chosen), torch.arange(heads))
        with at_rows(chosen):
            values = replacing(checkpoint, steps, layers, by, means, donors, chosen)
        parts = []
        for place, layer in enumerate(layers):
            output, slope = (part.unflatten(-1, (heads, -1)) for part in (outputs[place], gradients[place]))
            replace = HeadReplacement(checkpoint, layer, head, by, values[place], row)
            lost = output[row, :, head] - replace.replacement(output[row], torch.arange(len(row)))
            added = (slope[row, :, head].float() * lost.float()).sum(dim=-1)
            parts.append(added.unflatten(0, (len(chosen), heads))[: rows.stop - rows.start].cpu())
        found = torch.stack(parts, dim=1)
        with at_rows(chosen):
            refuse_non_finite(found, "gradients", checkpoint.dtype)
        yield rows, found
