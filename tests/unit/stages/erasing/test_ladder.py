"""Heads, sublayers or neurons replaced together, held against hooks by hand in the plain model; which come first."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import Intervention
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.scores import forced
from recite.stages.erasing.measure.ladder import Ladder, Means, means_of
from recite.stages.erasing.measure.ranking import Ranking, neurons_by_attribution
from recite.stages.erasing.rows import Rung

ROWS, STEPS, LAYERS, HEADS, WIDTH = 7, 5, 3, 3, 16
"""Of the models of conftest.py; width is a head's."""
BATCH = 4
PATHS = {"pythia": ("attention.dense", "mlp.dense_4h_to_h"), "starcoder": ("attn.c_proj", "mlp.c_proj")}
STRENGTHS = {"noise": [0.3, 0.6], "heads": [2, 4, 99], "sublayers": [3], "neurons": [5, 60], "seed": 4, "model": "a-s"}
PLACES = {
    "heads": [(1, 2), (0, 0), (1, 0), (2, 1)],
    "sublayers": [(2, 1), (0, 0), (2, 0)],
    "neurons": [(layer, neuron) for neuron in range(30) for layer in (0, 2)],
}


def likely(checkpoint: Checkpoint, text: Tensor, change: Intervention | None = None) -> Tensor:
    """Log-probability of the last STEPS tokens of each row, under an intervention where given."""
    return forced(checkpoint, text, STEPS, BATCH, intervention=change).log_probability


@pytest.fixture
def text(context: Tensor) -> Tensor:
    return context[:ROWS, :14]


def projection(family: str, model: PreTrainedModel, layer: int, place: int) -> nn.Module:
    path = PATHS.get(family, ("self_attn.o_proj", "mlp.down_proj"))[place]
    return model.get_submodule(f"{ARCHITECTURES[family].layers}.{layer}.{path}")


def likelihood(model: PreTrainedModel, text: Tensor) -> Tensor:
    """Log-probability of the last tokens, (rows,), with its gradient."""
    logs = model(input_ids=text[:, :-1], use_cache=False).logits[:, -STEPS:].log_softmax(-1)
    return logs.gather(-1, text[:, -STEPS:, None]).squeeze(-1).sum(dim=1)


def ladder_of(checkpoint: Checkpoint, means: Means) -> Ladder:
    rankings = {name: Ranking(places, 100) for name, places in PLACES.items()}
    return Ladder(checkpoint, STRENGTHS, rankings, means)


def by_hand(stack: ExitStack, family: str, model: PreTrainedModel, name: str, count: int, means: Means) -> None:
    """Put the first `count` places at their means, in the plain model, until the stack is left."""
    for layer in range(LAYERS):
        here = [number for at, number in PLACES[name][:count] if at == layer]
        for number in here if name == "sublayers" else []:
            mean = means.sublayers[layer][number]
            module = projection(family, model, layer, number)
            stack.enter_context(module.register_forward_hook(lambda _, __, out, mean=mean: mean.expand_as(out)))
        if name == "sublayers" or not here:
            continue
        cut = [slice(n * WIDTH, (n + 1) * WIDTH) if name == "heads" else slice(n, n + 1) for n in here]
        mean = (means.heads if name == "heads" else means.neurons)[layer]

        def change(_: nn.Module, given: tuple[Tensor], cut: list[slice] = cut, mean: Tensor = mean) -> tuple[Tensor]:
            changed = given[0].clone()
            for part in cut:
                changed[..., part] = mean[part]
            return (changed,)

        module = projection(family, model, layer, 0 if name == "heads" else 1)
        stack.enter_context(module.register_forward_pre_hook(change))


@pytest.mark.parametrize(("name", "count"), [("heads", 2), ("heads", 4), ("sublayers", 3), ("neurons", 60)])
def test_together(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor, name: str, count: int
) -> None:
    """One of several that is forgotten, takes another's mean, or undoes what was done before it in its layer."""
    generator = torch.Generator().manual_seed(3)
    sizes = [checkpoint.neurons(layer) for layer in range(LAYERS)]
    means = Means(
        [torch.randn(HEADS * WIDTH, generator=generator) for _ in range(LAYERS)],
        [torch.randn(2, 48, generator=generator) for _ in range(LAYERS)],
        [torch.randn(size, generator=generator) for size in sizes],
    )
    ladder = ladder_of(checkpoint, means)
    found = likely(checkpoint, text, ladder.intervention(Rung(name, "ranked", count, 0.1), [*range(ROWS)]))
    with ExitStack() as stack, torch.no_grad():
        clean = likelihood(reference, text)
        by_hand(stack, family, reference, name, count, means)
        expected = likelihood(reference, text)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=0)
    assert (expected - clean).abs().amax() > 1e-2
    torch.testing.assert_close(likely(checkpoint, text), clean, atol=1e-4, rtol=0)


def test_noise_belongs_to_the_row(checkpoint: Checkpoint, text: Tensor) -> None:
    """Noise of another row, or that hangs on where a row lies."""
    ladder = ladder_of(checkpoint, means_of(checkpoint, text, BATCH, True))
    ids, rung = [90 + row for row in range(ROWS)], Rung("noise", "", 0.6, 0.0)
    found = likely(checkpoint, text, ladder.intervention(rung, ids))
    by_itself = ResidualNoise(checkpoint, 0, ids, 0.6, 4, "token", "prompt")
    assert torch.equal(found, likely(checkpoint, text, by_itself))
    order = [4, 0, 6, 2]
    part = likely(checkpoint, text[order], ladder.intervention(rung, [ids[row] for row in order]))
    assert torch.equal(part, found[order])


def test_rungs(checkpoint: Checkpoint, text: Tensor) -> None:
    """More than can be replaced, a random set of other places than are ranked, or one that is not part of a larger."""
    ladder = ladder_of(checkpoint, means_of(checkpoint, text, BATCH, True))
    assert [(rung.intervention, rung.order, rung.strength) for rung in ladder.rungs()] == [
        ("noise", "", 0.3),
        ("noise", "", 0.6),
        ("heads", "ranked", 2),
        ("heads", "ranked", 4),
        ("sublayers", "ranked", 3),
        ("neurons", "ranked", 5),
        ("neurons", "ranked", 60),
        ("heads", "random", 2),
        ("heads", "random", 4),
        ("neurons", "random", 5),
        ("neurons", "random", 60),
    ]
    assert {rung.share for rung in ladder.rungs() if rung.intervention == "neurons"} == {0.05, 0.6}
    shuffled = ladder.places["neurons", "random"]
    assert sorted(shuffled) == sorted(PLACES["neurons"]) and shuffled != PLACES["neurons"]


def test_means(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor) -> None:
    found = means_of(checkpoint, text, BATCH, True)
    for layer in range(LAYERS):
        seen: dict[str, Tensor] = {}
        with ExitStack() as stack, torch.no_grad():
            for place, name in enumerate(("attention", "mlp")):

                def keep(
                    _: nn.Module,
                    given: tuple[Tensor],
                    output: Tensor,
                    name: str = name,
                    seen: dict[str, Tensor] = seen,
                ) -> None:
                    seen[f"{name} in"], seen[f"{name} out"] = given[0], output

                stack.enter_context(projection(family, reference, layer, place).register_forward_hook(keep))
            reference(input_ids=text[:, :-1], use_cache=False)
        means = {name: states.flatten(0, -2).mean(dim=0) for name, states in seen.items()}
        torch.testing.assert_close(found.heads[layer], means["attention in"], atol=1e-5, rtol=0)
        torch.testing.assert_close(found.neurons[layer], means["mlp in"], atol=1e-5, rtol=0)
        both = torch.stack([means["attention out"], means["mlp out"]])
        torch.testing.assert_close(found.sublayers[layer], both, atol=1e-5, rtol=0)
    assert means_of(checkpoint, text, BATCH, False).neurons == []


def test_neurons_by_attribution(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor) -> None:
    """A gradient of other rows, positions or layers than the activation's: held against autograd in the plain model."""
    means = means_of(checkpoint, text, BATCH, True).neurons
    ranking = neurons_by_attribution(checkpoint, text, STEPS, BATCH, means)
    seen: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        seen.append(given[0].detach().requires_grad_() if not seen else given[0])
        return (seen[-1],)

    with ExitStack() as stack, torch.enable_grad():
        for layer in range(LAYERS):
            stack.enter_context(projection(family, reference, layer, 1).register_forward_pre_hook(keep))
        gradients = torch.autograd.grad(likelihood(reference, text).sum(), seen)
    expected = torch.cat(
        [
            (slope * (state.detach() - mean)).flatten(0, -2).sum(dim=0)
            for slope, state, mean in zip(gradients, seen, means, strict=True)
        ]
    )
    firsts = np.cumsum([0, *map(len, means)])
    values = expected[[int(firsts[layer]) + neuron for layer, neuron in ranking.places]]
    assert ranking.total == len(expected) == len(set(ranking.places))
    assert (values[1:] - values[:-1]).max() < 1e-3 < values[0]
    torch.testing.assert_close(values[:20], expected.sort(descending=True).values[:20], atol=1e-3, rtol=0)
