"""How much every head matters to every row, estimated to first order from one pass forward and one backward.

To first order a replaced output changes the log-probability of the true continuation by its gradient x the difference
of the two outputs, for all heads at once; exact ablation runs the model once for each. A trained model is near an
optimum: what positions and rows gain and lose to first order cancels, while what a replacement costs grows with the
size of the change. So sizes are added up, position by position (the Taylor criterion, Molchanov et al. 2017; signed, as
in attribution patching, Nanda 2023, chance finds as many of the mini study's heads that matter).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from recite.checkpoints.loading import Checkpoint
from recite.engine.finite import at_rows, refuse_non_finite
from recite.engine.interventions import HeadReplacement, Replacement
from recite.engine.likelihoods import GRADIENT_SHARE, given, log_probabilities
from recite.engine.passes import check_length, whole_rows
from recite.engine.residuals import batches
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
    those of `head_likelihoods`; a pass has a GRADIENT_SHARE-th of `batch_rows` rows, see `whole_rows`.
    """
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    checkpoint.model.requires_grad_(False)
    heads, size = checkpoint.heads, whole_rows(checkpoint, max(1, batch_rows // GRADIENT_SHARE), fed)
    projections = [checkpoint.attention_output(layer) for layer in layers]
    row, head = pairs(size, torch.arange(heads))
    for rows, chosen in batches(len(text), size):
        with at_rows(chosen):
            values = replacing(checkpoint, steps, layers, by, means, donors, chosen)
            with given(projections) as outputs, _differentiated(projections[0]):
                gained = log_probabilities(checkpoint, text[chosen], steps)
        gradients = torch.autograd.grad(gained.sum(), outputs)
        parts = []
        for place, layer in enumerate(layers):
            output, slope = (part.detach().unflatten(-1, (heads, -1)) for part in (outputs[place], gradients[place]))
            replace = HeadReplacement(checkpoint, layer, head, by, values[place], row)
            lost = output[row, :, head] - replace.replacement(output[row], torch.arange(len(row)))
            added = (slope[row, :, head].float() * lost.float()).sum(dim=-1)
            parts.append(added.unflatten(0, (size, heads))[: rows.stop - rows.start].cpu())
        found = torch.stack(parts, dim=1)
        with at_rows(chosen):
            refuse_non_finite(found, "gradients", checkpoint.dtype)
        yield rows, found


@contextmanager
def _differentiated(module: nn.Module) -> Iterator[None]:
    """Within the block gradients reach down to what the module is given."""

    def begin(module: nn.Module, arguments: Any) -> None:
        arguments[0].requires_grad_()

    with module.register_forward_pre_hook(begin):
        yield
