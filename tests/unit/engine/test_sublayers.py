"""Sublayers and neurons replaced: held against weights changed by hand in the plain model, and taken back."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from decoders import saved, small_model
from peers import logits_of
from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.inspection import inspect
from recite.checkpoints.loading import Checkpoint, Sublayer, load_model
from recite.engine.continuation import Intervention, Pass, continue_greedily
from recite.engine.interventions.joint import together
from recite.engine.interventions.sublayers import NeuronReplacement, NeuronScaling, SublayerReplacement
from recite.engine.passes import forward
from recite.errors import ReciteError
from recite.kernels.key_values import KeyValues

LAYERS, WIDTH = 3, 48
"""Of the models of conftest.py."""
ROWS, LENGTH = 4, 12
SUBLAYERS: tuple[Sublayer, ...] = ("attention", "mlp")
PATHS = {
    "pythia": ("attention.dense", "mlp.dense_4h_to_h"),
    "starcoder": ("attn.c_proj", "mlp.c_proj"),
}
"""Where the two projections of a class are, read off its source; of the others they are called alike."""


def projection_of(family: str, model: PreTrainedModel, layer: int, sublayer: Sublayer) -> nn.Linear:
    """The projection that ends a sublayer, by hand."""
    path = PATHS.get(family, ("self_attn.o_proj", "mlp.down_proj"))[SUBLAYERS.index(sublayer)]
    module = model.get_submodule(f"{ARCHITECTURES[family].layers}.{layer}.{path}")
    assert isinstance(module, nn.Linear)
    return module


def changed(family: str, reference: PreTrainedModel, layer: int, sublayer: Sublayer, bias: Tensor) -> PreTrainedModel:
    """The plain model where a projection has no weights, and a bias instead: its output is that."""
    model = deepcopy(reference)
    projection = projection_of(family, model, layer, sublayer)
    with torch.no_grad():
        projection.weight.zero_()
        projection.bias = nn.Parameter(bias.clone())
    return model


def in_passes(checkpoint: Checkpoint, tokens: Tensor, rows: list[int], intervention: Intervention) -> Tensor:
    """Logits of some rows, fed in two passes."""
    cache, parts = KeyValues(len(rows), LENGTH), []
    for start, end in ((0, 7), (7, LENGTH)):
        cache.start = start
        with torch.inference_mode(), intervention(Pass(rows, start, 7)):
            parts.append(
                forward(checkpoint, tokens[rows, start:end].to(checkpoint.model.device), cache, end - start).cpu()
            )
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("sublayer", SUBLAYERS)
def test_replaced_by_one_number(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor, sublayer: Sublayer
) -> None:
    """By zero or a mean: as if the projection had no weights, and a bias."""
    tokens = context[:ROWS, :LENGTH]
    mean = torch.randn(WIDTH, generator=torch.Generator().manual_seed(4))
    clean = logits_of(checkpoint.model, tokens)
    for layer in range(LAYERS):
        for by, bias in (("zero", torch.zeros(WIDTH)), ("dataset_mean", mean)):
            expected = logits_of(changed(family, reference, layer, sublayer, bias), tokens)
            found = in_passes(
                checkpoint, tokens, [3, 1, 0, 2], SublayerReplacement(checkpoint, layer, sublayer, by, mean)
            )
            torch.testing.assert_close(found, expected[[3, 1, 0, 2]], atol=2e-5, rtol=0)
            assert (expected - clean).abs().amax() > 1e-3
    assert torch.equal(logits_of(checkpoint.model, tokens), clean)


@pytest.mark.parametrize("sublayer", SUBLAYERS)
def test_replaced_by_another_row(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor, sublayer: Sublayer
) -> None:
    """Another row's output, or that of another place, would still give plausible logits."""
    tokens, generator = context[:ROWS, :LENGTH], torch.Generator().manual_seed(5)
    values, donors = torch.randn(5, LENGTH, WIDTH, generator=generator), torch.tensor([4, 0, 0, 3])
    for layer in range(LAYERS):
        module = projection_of(family, reference, layer, sublayer)
        with module.register_forward_hook(lambda *_: values[donors]):
            expected = logits_of(reference, tokens)
        replacement = SublayerReplacement(checkpoint, layer, sublayer, "resample", values, donors)
        found = in_passes(checkpoint, tokens, [2, 0, 1, 3], replacement)
        torch.testing.assert_close(found, expected[[2, 0, 1, 3]], atol=2e-5, rtol=0)


def test_some_rows_only(checkpoint: Checkpoint, context: Tensor) -> None:
    """Rows that are not chosen keep every bit; the others are as if all were chosen."""
    tokens, chosen = context[:ROWS, :LENGTH], torch.tensor([True, False, False, True])
    clean = logits_of(checkpoint.model, tokens)
    for sublayer in SUBLAYERS:
        every = in_passes(checkpoint, tokens, [2, 3, 0, 1], SublayerReplacement(checkpoint, 1, sublayer))
        some = SublayerReplacement(checkpoint, 1, sublayer, chosen=chosen)
        found = in_passes(checkpoint, tokens, [2, 3, 0, 1], some)
        assert torch.equal(found[[1, 2]], every[[1, 2]])
        torch.testing.assert_close(found[[0, 3]], clean[[2, 1]], atol=2e-5, rtol=0)
        assert (every[[0, 3]] - clean[[2, 1]]).abs().amax() > 1e-3


def test_replaced_neurons(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor) -> None:
    """By zero: as if the projection had no weights for them. By a value: as if it had a bias of their product."""
    tokens, generator = context[:ROWS, :LENGTH], torch.Generator().manual_seed(6)
    clean = logits_of(checkpoint.model, tokens)
    counts = [checkpoint.neurons(layer) for layer in range(LAYERS)]
    chosen = {layer: torch.rand(ROWS, counts[layer], generator=generator) < 0.2 for layer in (0, 2)}
    values = {layer: torch.randn(counts[layer], generator=generator) for layer in chosen}
    for given in (None, values):
        found = in_passes(checkpoint, tokens, [1, 3, 2, 0], NeuronReplacement(checkpoint, chosen, given))
        for place, row in enumerate([1, 3, 2, 0]):
            model = deepcopy(reference)
            for layer, of_rows in chosen.items():
                projection = projection_of(family, model, layer, "mlp")
                with torch.no_grad():
                    added = projection.weight[:, of_rows[row]] @ values[layer][of_rows[row]]
                    bias = torch.zeros(WIDTH) if projection.bias is None else projection.bias
                    projection.bias = nn.Parameter(bias + added if given else bias)
                    projection.weight[:, of_rows[row]] = 0
            expected = logits_of(model, tokens[[row]])[0]
            torch.testing.assert_close(found[place], expected, atol=2e-5, rtol=0)
            assert (expected - clean[row]).abs().amax() > 1e-3
    one = {1: torch.rand(1, counts[1], generator=generator) < 0.3}
    every = {1: one[1].expand(ROWS, -1)}
    found = [
        in_passes(checkpoint, tokens, [0, 1, 2, 3], NeuronReplacement(checkpoint, which)) for which in (one, every)
    ]
    assert torch.equal(*found)
    assert torch.equal(logits_of(checkpoint.model, tokens), clean)


def test_scaled_neurons(checkpoint: Checkpoint, context: Tensor) -> None:
    """At the end of the way nothing is changed; at its beginning, and for some neurons only, they are replaced."""
    tokens, generator = context[:ROWS, :LENGTH], torch.Generator().manual_seed(7)
    counts = [checkpoint.neurons(layer) for layer in range(LAYERS)]
    values = {layer: torch.randn(counts[layer], generator=generator) for layer in (0, 2)}
    chosen = {layer: torch.rand(ROWS, counts[layer], generator=generator) < 0.3 for layer in values}
    rows = [0, 1, 2, 3]
    for which in (chosen, {layer: torch.zeros_like(part) for layer, part in chosen.items()}):
        scales = {layer: (~part).float() for layer, part in which.items()}
        found = in_passes(checkpoint, tokens, rows, NeuronScaling(checkpoint, scales, values))
        expected = in_passes(checkpoint, tokens, rows, NeuronReplacement(checkpoint, which, values))
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_together(checkpoint: Checkpoint, context: Tensor) -> None:
    """Two interventions are in force in every step of a continuation, and none after it."""
    clean = continue_greedily(checkpoint, context, 4, 8)
    both = [SublayerReplacement(checkpoint, 0, "mlp"), SublayerReplacement(checkpoint, 2, "attention")]
    found = continue_greedily(checkpoint, context, 4, 8, intervention=together(both))
    with both[0](Pass([0], 0, 1)):
        expected = continue_greedily(checkpoint, context, 4, 8, intervention=both[1])
    assert torch.equal(found.tokens, expected.tokens) and torch.equal(found.margin, expected.margin)
    assert not torch.equal(found.margin, clean.margin)
    assert torch.equal(continue_greedily(checkpoint, context, 4, 8).margin, clean.margin)


def test_neurons_of_a_mixture(tmp_path: Path) -> None:
    """A token has none of the experts that it is not sent to."""
    found = inspect(saved(small_model("mixtral"), tmp_path / "mine"))
    checkpoint = Checkpoint(load_model(found, torch.float32), found.architecture, "", 0, "float32")
    with pytest.raises(ReciteError, match=r"^the MLPs of MixtralForCausalLM are mixtures, in which"):
        checkpoint.neurons(0)
