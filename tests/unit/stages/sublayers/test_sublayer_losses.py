"""Attention and MLPs taken out one by one: held against the plain model, changed by hand, without cache or batch."""

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peers import logits_of
from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.loading import Checkpoint
from recite.engine.likelihoods import given, handed_on, mean_states
from recite.stages.sublayers.measure import By, losses
from recite.stages.sublayers.rows import SUBLAYERS

ROWS, PROMPT, STEPS, LAYERS, WIDTH = 7, 9, 5, 3, 48
"""More rows than a batch, and the models of conftest.py."""
BATCH = 4
PATHS = {"pythia": ("attention.dense", "mlp.dense_4h_to_h"), "starcoder": ("attn.c_proj", "mlp.c_proj")}
"""Where the two projections of a class are, read off its source; of the others they are called alike."""


@pytest.fixture
def text(context: Tensor) -> Tensor:
    return context[:ROWS, : PROMPT + STEPS]


def projection(family: str, model: PreTrainedModel, layer: int, place: int) -> nn.Module:
    path = PATHS.get(family, ("self_attn.o_proj", "mlp.down_proj"))[place]
    return model.get_submodule(f"{ARCHITECTURES[family].layers}.{layer}.{path}")


def by_hand(model: PreTrainedModel, text: Tensor) -> tuple[Tensor, Tensor]:
    """Hits of the greedy continuation, made without a cache, and log-probability of the true one."""
    tokens = text[:, :PROMPT]
    for _ in range(STEPS):
        tokens = torch.cat([tokens, logits_of(model, tokens)[:, -1:].argmax(-1)], dim=1)
    logs = logits_of(model, text[:, :-1])[:, -STEPS:].log_softmax(-1)
    true = text[:, -STEPS:]
    return (tokens[:, PROMPT:] == true).sum(1), logs.gather(-1, true[..., None]).squeeze(-1).sum(1)


def recited(reference: PreTrainedModel, text: Tensor) -> Tensor:
    """Some of the rows go on as the model would, so that there are hits to lose."""
    tokens = text[:, :PROMPT]
    for _ in range(STEPS):
        tokens = torch.cat([tokens, logits_of(reference, tokens)[:, -1:].argmax(-1)], dim=1)
    return torch.cat([tokens[:4], text[4:]])


@pytest.mark.parametrize("by", ["zero", "dataset_mean", "resample"])
def test_losses(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor, by: By) -> None:
    """A sublayer of another layer, another row's outputs, or a restart that runs past the replacement."""
    text = recited(reference, text)
    generator = torch.Generator().manual_seed(8)
    means = torch.randn(LAYERS, len(SUBLAYERS), WIDTH, generator=generator)
    donors = text.roll(1, 0)
    lent = donors if by == "resample" else None
    found = losses(checkpoint, text, STEPS, BATCH, by=by, means=means if by == "dataset_mean" else None, donors=lent)
    hits, likely = by_hand(reference, text)
    assert torch.equal(found.clean_hits.long(), hits) and hits[:4].eq(STEPS).all()
    torch.testing.assert_close(found.clean, likely, atol=1e-4, rtol=0)
    lost = False
    for layer in range(LAYERS):
        for place in range(len(SUBLAYERS)):
            module = projection(family, reference, layer, place)
            with handed_on([module]) as seen:
                logits_of(reference, donors)
            values = {"zero": torch.zeros(1), "dataset_mean": means[layer, place], "resample": seen[0]}[by]

            def change(_: nn.Module, __: object, output: Tensor, values: Tensor = values) -> Tensor:
                return (values[:, : output.shape[1]] if values.ndim == 3 else values).expand_as(output)

            with module.register_forward_hook(change):
                hits, likely = by_hand(reference, text)
            assert torch.equal(found.hits[:, layer, place].long(), hits)
            torch.testing.assert_close(found.log_probability[:, layer, place], likely, atol=1e-4, rtol=0)
            lost |= bool((hits[:4] < STEPS).any())
    assert lost


def test_rows_lie_anywhere(checkpoint: Checkpoint, text: Tensor) -> None:
    """The bits of a row hang on the rows beside it, or on its batch."""
    whole = losses(checkpoint, text, STEPS, BATCH)
    order = [6, 2, 5, 0]
    for part, of_all in zip(losses(checkpoint, text[order], STEPS, BATCH), whole, strict=True):
        assert torch.equal(part, of_all[order])


def test_means(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor) -> None:
    """A row that fills a batch counts, or a position that is not fed."""
    for see, place in ((handed_on, 1), (given, 1), (handed_on, 0)):
        modules = [checkpoint.sublayer(layer, SUBLAYERS[place]) for layer in range(LAYERS)]
        found = mean_states(checkpoint, text, BATCH, modules, see)
        for layer in range(LAYERS):
            with see([projection(family, reference, layer, place)]) as seen:
                logits_of(reference, text[:, :-1])
            torch.testing.assert_close(found[layer], seen[0].mean(dim=(0, 1)), atol=1e-5, rtol=0)
