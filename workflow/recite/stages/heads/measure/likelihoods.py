"""How probable the true continuation is without each attention head: one pass over the whole row for each.

The model is fed the true continuation (teacher forcing). Layers below the head's are not run again: the head's layer is
handed what the whole model gave it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import Pass
from recite.engine.finite import at_rows
from recite.engine.interventions.heads import HeadReplacement, Replacement
from recite.engine.likelihoods import given, log_probabilities
from recite.engine.passes import check_length, replaced, whole_rows
from recite.engine.residuals import batches
from recite.progress import Done, unseen
from recite.stages.heads.measure.continuations import pairs


class Likelihoods(NamedTuple):
    """Log-probability of each row's true continuation, the sum over its tokens, nats, float32.

    clean: (rows,), by the whole model. ablated: (rows, layers, heads), without each head.
    """

    clean: Tensor
    ablated: Tensor


@torch.inference_mode()
def head_likelihoods(
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
) -> Likelihoods:
    """Replace every head of `layers` one by one and ask for the last `steps` tokens of `text`.

    `text` (rows, prompt + steps) are int64 token ids, of which all but the last are fed, `batch_rows` rows a pass (see
    `whole_rows`). `by`, `means`, `donors` (texts of the shape of `text`), `chosen` and `done` are those of
    `recite.stages.heads.measure.continuations.ablate_heads`; of heads that are not chosen the log-probability is NaN.
    Raises NotFiniteError where another one is not finite.
    """
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    size = whole_rows(checkpoint, batch_rows, fed)
    prompt, every = text.shape[1] - steps, torch.arange(checkpoint.heads)
    found = Likelihoods(torch.empty(len(text)), torch.full((len(text), len(layers), len(every)), torch.nan))
    inputs = [checkpoint.layers[layer] for layer in layers]
    for rows, batch in batches(len(text), size):
        tokens, kept = text[batch], rows.stop - rows.start
        with at_rows(batch):
            with given(inputs) as entered:
                found.clean[rows] = log_probabilities(checkpoint, tokens, steps)[:kept]
            values = replacing(checkpoint, steps, layers, by, means, donors, batch)
        for place, layer in enumerate(layers):
            heads = every if chosen is None else chosen[layer]
            if not len(heads):
                continue
            row, head = pairs(kept, heads)
            replace = HeadReplacement(checkpoint, layer, head, by, values[place], row)
            parts = []
            for places, pair in batches(len(row), size):
                hidden = entered[place][row[pair].to(entered[place].device)]
                changed = replaced(checkpoint.layers[:layer], hidden), replace(Pass(pair.tolist(), 0, prompt))
                with at_rows(batch[row[pair]]), changed[0], changed[1]:
                    parts.append(log_probabilities(checkpoint, tokens[row[pair]], steps)[: places.stop - places.start])
                done(places.stop - places.start)
            found.ablated[rows, place, heads] = torch.cat(parts).unflatten(0, (kept, len(heads)))
    return found


@torch.no_grad()
def replacing(
    checkpoint: Checkpoint,
    steps: int,
    layers: range,
    by: Replacement,
    means: Sequence[Tensor] | None,
    donors: Tensor | None,
    rows: Tensor,
) -> Sequence[Tensor | None]:
    """By layer, what replaces the heads of `rows`: what the rows' donors give them, else `means`, else None."""
    if by != "resample":
        return means[layers.start : layers.stop] if means is not None else [None] * len(layers)
    assert donors is not None
    with given([checkpoint.attention_output(layer) for layer in layers]) as values:
        log_probabilities(checkpoint, donors[rows], steps)
    return values
