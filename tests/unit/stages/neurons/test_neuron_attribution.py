"""Attributions against finite differences and whole differences in the unchanged models, and whatever the batches."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peers import logits_of
from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.stages.neurons.measure.attribution import attributions, neuron_means

LAYERS, STEPS = 3, 10
BATCH = 16
"""Two rows a pass, so that seven rows do not fill the last."""
PATHS = {"pythia": "mlp.dense_4h_to_h", "starcoder": "mlp.c_proj"}
"""Where the output projection of a class's MLP is, read off its source; of the others it is called alike."""
SMALL = 1e-2


@pytest.fixture
def text(context: Tensor) -> Tensor:
    return context[:7, :20]


def projections(family: str, model: PreTrainedModel) -> list[nn.Linear]:
    path = PATHS.get(family, "mlp.down_proj")
    found = [model.get_submodule(f"{ARCHITECTURES[family].layers}.{layer}.{path}") for layer in range(LAYERS)]
    assert all(isinstance(module, nn.Linear) for module in found)
    return found


def likelihood(model: PreTrainedModel, text: Tensor) -> Tensor:
    """Log-probability of each row's last tokens, float64."""
    logits = logits_of(model, text)[:, -STEPS - 1 : -1].double().log_softmax(-1)
    return logits.gather(-1, text[:, -STEPS:, None]).sum(dim=(1, 2))


def inputs_of(family: str, model: PreTrainedModel, text: Tensor) -> list[Tensor]:
    """What each layer's projection is given, (rows, positions, neurons)."""
    seen: list[Tensor] = []
    hooks = [
        p.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone())) for p in projections(family, model)
    ]
    logits_of(model, text[:, :-1])
    for hook in hooks:
        hook.remove()
    return [part.view(len(text), -1, part.shape[-1]) for part in seen]


@contextmanager
def on_the_way(family: str, model: PreTrainedModel, means: list[Tensor], scales: list[Tensor]) -> Iterator[None]:
    """Within the block every neuron is at its mean, and so much of the way from there to its activation."""
    with ExitStack() as stack:
        for projection, mean, scale in zip(projections(family, model), means, scales, strict=True):
            stack.enter_context(
                projection.register_forward_pre_hook(lambda _, given, m=mean, s=scale: (m + s * (given[0] - m),))
            )
        yield


def test_means_and_distances(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor) -> None:
    """Another layer, or a mean over the rows that fill the last pass too, would show."""
    inputs = inputs_of(family, reference, text)
    means = neuron_means(checkpoint, text, STEPS, BATCH)
    assert list(means) == list(range(LAYERS))
    for layer, part in enumerate(inputs):
        torch.testing.assert_close(means[layer], part.mean(dim=(0, 1)), atol=1e-5, rtol=1e-4)
    parts = list(attributions(checkpoint, text, STEPS, BATCH, means, 1))
    assert [part.rows for part in parts] == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 7)]
    far = torch.cat([(part - part.mean(dim=(0, 1))).abs().mean(dim=1) for part in inputs], dim=1)
    torch.testing.assert_close(torch.cat([part.distance for part in parts]), far, atol=1e-5, rtol=1e-4)


def test_finite_differences(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor) -> None:
    """At one point of the way: each neuron a little further and a little less far, one by one, in the plain model."""
    means = neuron_means(checkpoint, text, STEPS, BATCH)
    flat = list(means.values())
    parts = list(attributions(checkpoint, text, STEPS, BATCH, means, 1))
    found = torch.cat([part.attribution for part in parts])
    size = sum(map(len, flat))
    assert found.shape == (7, size) and found.dtype == torch.float32
    for number in range(0, size, 29):
        ends = []
        for step in (SMALL, -SMALL):
            scales = torch.full((size,), 0.5)
            scales[number] += step
            with on_the_way(family, reference, flat, list(scales.split([len(mean) for mean in flat]))):
                ends.append(likelihood(reference, text))
        expected = (ends[0] - ends[1]) / (2 * SMALL)
        torch.testing.assert_close(found[:, number].double(), expected, atol=2e-3, rtol=1e-2)
    assert found.abs().amax() > 0.05  # many times what is tolerated


def test_completeness(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor) -> None:
    """They add up to what all neurons add, by the plain model with biases in place of its MLPs' last weights.

    To the midpoint rule's error, a quarter with twice the points: another end of the way, or a weight, would show.
    """
    text = text[:3]
    means = neuron_means(checkpoint, text, STEPS, BATCH)
    model = deepcopy(reference)
    with torch.no_grad():
        for projection, mean in zip(projections(family, model), means.values(), strict=True):
            bias = projection.weight @ mean
            projection.bias = nn.Parameter(bias if projection.bias is None else projection.bias + bias)
            projection.weight.zero_()
    bare = likelihood(model, text)
    whole = likelihood(reference, text) - bare
    off = []
    for points in (12, 24):
        parts = list(attributions(checkpoint, text, STEPS, BATCH, means, points))
        torch.testing.assert_close(torch.cat([part.bare for part in parts]).double(), bare, atol=1e-3, rtol=0)
        off.append((torch.cat([part.attribution for part in parts]).double().sum(dim=1) - whole).abs().amax())
    assert whole.abs().amax() > 0.5
    assert off[1] < 0.01 and 3 < off[0] / off[1] < 6


def test_neurons_that_are_not_read(family: str, reference: PreTrainedModel, text: Tensor, tmp_path: Path) -> None:
    """Neurons whose weights are 0 add nothing, and only these: another layer's or a shifted neuron would show."""
    model = deepcopy(reference)
    planted = []
    with torch.no_grad():
        start = 0
        for layer, projection in enumerate(projections(family, model)):
            unread = torch.tensor([layer, 7 + layer])
            projection.weight[:, unread] = 0
            planted += (start + unread).tolist()
            start += projection.weight.shape[1]
    model.save_pretrained(tmp_path)
    loaded = load_checkpoint(tmp_path, "float32", batch_rows=8)
    means = neuron_means(loaded, text, STEPS, BATCH)
    found = torch.cat([part.attribution for part in attributions(loaded, text, STEPS, BATCH, means, 2)])
    assert found.abs().amax(dim=0).eq(0).nonzero().flatten().tolist() == planted


def test_whatever_the_rows_beside(checkpoint: Checkpoint, text: Tensor) -> None:
    """A row's bits hang on no other row, and the model is left as it was."""
    clean = logits_of(checkpoint.model, text)
    means = neuron_means(checkpoint, text, STEPS, BATCH)
    whole = torch.cat([part.attribution for part in attributions(checkpoint, text, STEPS, BATCH, means, 2)])
    some = torch.cat([part.attribution for part in attributions(checkpoint, text[3:6], STEPS, BATCH, means, 2)])
    assert torch.equal(some, whole[3:6])
    assert torch.equal(logits_of(checkpoint.model, text), clean)
