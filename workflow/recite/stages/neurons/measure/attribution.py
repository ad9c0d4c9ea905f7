"""How much every neuron adds to the log-probability of each row's true continuation: integrated gradients.

As for knowledge neurons (Dai et al., arXiv 2104.08696), but from a neuron's mean to its activation, and of all layers
at once. From zero there is no path in a class that norms what its MLP gives (OLMo 2 and 3): the norm takes every scale
out, and at zero the output jumps. From the mean there is, and attributions add up to what all neurons add together.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import Pass
from recite.engine.finite import at_rows, refuse_non_finite
from recite.engine.interventions.sublayers import NeuronReplacement, NeuronScaling
from recite.engine.likelihoods import GRADIENT_SHARE, given, log_probabilities
from recite.engine.passes import check_length, whole_rows
from recite.engine.residuals import batches
from recite.progress import Done, unseen

Means = Mapping[int, Tensor]
"""Layer -> the mean activation of each of its neurons, (neurons,) float32."""


class Attributed(NamedTuple):
    """Some rows, and what their neurons add; neurons stand side by side by layer.

    bare: (rows,) float32, log-probability of the true continuation with all neurons at their means, nats.
    attribution: (rows, neurons) float32, nats. distance: (rows, neurons) float32, how far the activation is from its
    mean, averaged over positions.
    """

    rows: slice
    bare: Tensor
    attribution: Tensor
    distance: Tensor


def activations(
    checkpoint: Checkpoint, text: Tensor, steps: int, batch_rows: int
) -> Iterator[tuple[slice, list[Tensor]]]:
    """Rows, and by layer their neurons' activations, (rows, positions, neurons), on the model's device.

    `text` (rows, prompt + steps) are int64 token ids, of which all but the last are fed, a GRADIENT_SHARE-th of
    `batch_rows` rows a pass (see `whole_rows`).
    """
    size = _rows(checkpoint, text, batch_rows)
    modules = [checkpoint.sublayer(layer, "mlp") for layer in range(len(checkpoint.layers))]
    for rows, chosen in batches(len(text), size):
        with at_rows(chosen), torch.no_grad(), given(modules) as seen:
            log_probabilities(checkpoint, text[chosen], steps)
        yield rows, [part.view(size, -1, part.shape[-1])[: rows.stop - rows.start] for part in seen]


def neuron_means(checkpoint: Checkpoint, text: Tensor, steps: int, batch_rows: int) -> Means:
    """Each neuron's mean over rows and positions."""
    sums = [torch.zeros(checkpoint.neurons(layer), dtype=torch.float64) for layer in range(len(checkpoint.layers))]
    for _, seen in activations(checkpoint, text, steps, batch_rows):
        for layer, part in enumerate(seen):
            sums[layer] += part.double().sum(dim=(0, 1)).cpu()
    places = len(text) * (text.shape[1] - 1)
    return {layer: (total / places).float() for layer, total in enumerate(sums)}


def attributions(
    checkpoint: Checkpoint, text: Tensor, steps: int, batch_rows: int, means: Means, points: int, done: Done = unseen
) -> Iterator[Attributed]:
    """Rows of `text`, a pass at a time, with what their neurons add to their last `steps` tokens' log-probability.

    The gradient at `points` places in the middles of equal parts of the way from `means` to the activations, all
    neurons of all layers at one place at once, times the way, summed over positions. The sum over neurons is what the
    whole model gives less what it gives with all of them at their means, but for an error that falls with the square of
    `points`. Raises NotFiniteError for what is not finite.
    """
    checkpoint.model.requires_grad_(False)
    every = {layer: torch.ones(1, len(mean), dtype=torch.bool) for layer, mean in means.items()}
    bare = NeuronReplacement(checkpoint, every, means)
    size, prompt = _rows(checkpoint, text, batch_rows), text.shape[1] - steps
    for rows, seen in activations(checkpoint, text, steps, batch_rows):
        far = [(part.float() - means[layer].to(part.device)).abs().mean(dim=1) for layer, part in enumerate(seen)]
        chosen = torch.arange(rows.start, rows.start + size).clamp(max=rows.stop - 1)
        batch, kept = Pass(list(range(size)), 0, prompt), rows.stop - rows.start
        with at_rows(chosen):
            with torch.no_grad(), bare(batch):
                without = log_probabilities(checkpoint, text[chosen], steps)
            found = torch.zeros(size, sum(map(len, means.values())), device=checkpoint.model.device)
            for point in range(points):
                scales = {
                    layer: torch.full(
                        (size, len(mean)), (point + 0.5) / points, device=seen[layer].device
                    ).requires_grad_()
                    for layer, mean in means.items()
                }
                with NeuronScaling(checkpoint, scales, means)(batch):
                    likely = log_probabilities(checkpoint, text[chosen], steps)
                slopes = torch.autograd.grad(likely.sum(), list(scales.values()))
                found += torch.cat([slope.to(found.device) for slope in slopes], dim=1) / points
            refuse_non_finite(found, "gradients", checkpoint.dtype)
        distance = torch.cat([part.to(found.device) for part in far], dim=1)
        yield Attributed(rows, without[:kept], found[:kept], distance)
        done(kept)


def _rows(checkpoint: Checkpoint, text: Tensor, batch_rows: int) -> int:
    """Rows of a pass; ReciteError where they are longer than the model attends over."""
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    return whole_rows(checkpoint, max(1, batch_rows // GRADIENT_SHARE), fed)
