"""The measurements on decoders without a row in the architecture table, held against hooks in the unmodified model."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from decoders import VOCABULARY, saved, small_model
from recite.checkpoints.loading import load_checkpoint
from recite.engine.interventions import ResidualNoise
from recite.engine.proof.own import TOLERANCE
from recite.errors import ReciteError
from recite.stages.heads.measure.attribution import estimated_changes
from recite.stages.heads.measure.likelihoods import head_likelihoods
from recite.stages.lens.measure import decode
from recite.stages.neurons.measure.attribution import attributions, neuron_means
from recite.stages.recovery.measure import compared

PROMPT, STEPS = 10, 4
MIXTURES = {"deepseek_v3", "gpt_oss", "mixtral"}
CLASSES = [
    "bloom",
    "cohere",
    "deepseek_v3",
    "falcon",
    "gemma2",
    "gpt2",
    "gpt_neo",
    "gpt_oss",
    "granite",
    "mixtral",
    "mpt",
]


@pytest.fixture(params=CLASSES)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple:  # type: ignore[type-arg]
    """The model as it is loaded, and the same unmodified."""
    model = small_model(request.param)
    model.config._attn_implementation = "eager"
    folder = saved(model, tmp_path / "mine")
    return load_checkpoint(folder, "float32", 8), type(model).from_pretrained(folder, attn_implementation="eager")


@pytest.fixture
def text() -> Tensor:
    """Rows of random tokens."""
    return torch.randint(0, VOCABULARY, (5, PROMPT + STEPS), generator=torch.Generator().manual_seed(3))


def likelihood(model: nn.Module, text: Tensor) -> Tensor:
    """Log-probability of the last tokens, (rows,)."""
    with torch.inference_mode():
        logits = model(input_ids=text[:, :-1], use_cache=False).logits[:, -STEPS:]
    return logits.log_softmax(-1).gather(-1, text[:, -STEPS:, None]).squeeze(-1).sum(dim=1)


def test_heads(both: tuple, text: Tensor) -> None:  # type: ignore[type-arg]
    """A head that is silenced elsewhere than it is."""
    checkpoint, model = both
    layers = range(len(checkpoint.layers))
    with torch.inference_mode():
        found = head_likelihoods(checkpoint, text, STEPS, 8, layers, by="zero")
    assert torch.allclose(found.clean, likelihood(model, text), atol=1e-3)
    path, width = checkpoint.architecture, checkpoint.head_width
    for layer, head in ((0, 1), (1, 3), (2, 0)):
        projection = model.get_submodule(f"{path.layers}.{layer}.{path.attention_output}")

        def silence(_: nn.Module, given: tuple[Tensor], head: int = head) -> tuple[Tensor]:
            mixed = given[0].clone()
            mixed[..., head * width : (head + 1) * width] = 0
            return (mixed,)

        with projection.register_forward_pre_hook(silence):
            expected = likelihood(model, text)
        assert torch.allclose(found.ablated[:, layer, head], expected, atol=1e-3)
    estimated = estimated_changes(checkpoint, text, STEPS, 8, layers, by="zero")
    assert estimated.isfinite().all() and (estimated > 0).all()


def test_neurons(both: tuple, text: Tensor) -> None:  # type: ignore[type-arg]
    """Neurons of another place than what ends an MLP do not add up to what it does; mixtures are refused."""
    checkpoint, model = both
    path = checkpoint.architecture
    if model.config.model_type in MIXTURES:
        with pytest.raises(ReciteError, match=r"mixtures, in which"):
            neuron_means(checkpoint, text, STEPS, 8)
        return
    means = neuron_means(checkpoint, text, STEPS, 8)
    parts = list(attributions(checkpoint, text, STEPS, 64, means, 40))
    with ExitStack() as stack:
        for layer, mean in means.items():
            projection = model.get_submodule(f"{path.layers}.{layer}.{path.mlp_output}")
            hook = projection.register_forward_pre_hook(lambda _, given, mean=mean: (mean.expand_as(given[0]),))
            stack.enter_context(hook)
        bare = likelihood(model, text)
    whole = likelihood(model, text) - bare
    found = torch.cat([part.attribution for part in parts]).sum(dim=1)
    assert torch.allclose(torch.cat([part.bare for part in parts]), bare, atol=1e-3)
    assert torch.allclose(found, whole, atol=2e-2) and whole.abs().max() > 0.1


def test_lens(both: tuple, text: Tensor) -> None:  # type: ignore[type-arg]
    """Logits that are not scaled or capped have another entropy."""
    checkpoint, model = both
    ((_, decoded),) = decode(checkpoint, text, STEPS, 8)
    with torch.inference_mode():
        logs = model(input_ids=text[:, :-1], use_cache=False).logits[:, -STEPS:].log_softmax(-1)
    true = logs.gather(-1, text[:, -STEPS:, None]).squeeze(-1)
    assert torch.allclose(decoded.log_probability[:, -1], true, atol=1e-3)
    assert torch.allclose(decoded.entropy[:, -1], -(logs.exp() * logs).sum(-1), atol=1e-3)


def test_recovery(both: tuple, text: Tensor) -> None:  # type: ignore[type-arg]
    """Noise that does not come through a layer's output."""
    checkpoint, _ = both
    disturb = ResidualNoise(checkpoint, 1, list(range(5)), 0.2, 1, "token", "prompt")
    found = compared(checkpoint, text[:, :PROMPT], disturb, 1, 8)
    assert found[0].isfinite().all()
    assert torch.allclose(found[0][:, 0], torch.tensor(1.04**-0.5), atol=0.05)
    assert float((1 - found[0]).abs().min()) > TOLERANCE
