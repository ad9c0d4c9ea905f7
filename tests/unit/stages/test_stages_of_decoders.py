"""The measurements on decoders without a row in the architecture table, held against hooks in the unmodified model."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decoders import VOCABULARY, saved, small_model
from recite.checkpoints.loading import load_checkpoint
from recite.engine.decoding import decode
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.proof.own import TOLERANCE
from recite.errors import ReciteError
from recite.stages.attention.measure import attend_to
from recite.stages.attention.places import spans_of
from recite.stages.dimension.measure import streams
from recite.stages.heads.measure.likelihoods import head_likelihoods
from recite.stages.neurons.measure.attribution import attributions, neuron_means
from recite.stages.recovery.measure import compared
from recite.stages.sublayers.measure import losses
from recite.stages.sublayers.rows import SUBLAYERS
from recite.stages.tuned_lens.training import divergence, trained
from recite.stages.tuned_lens.translators import identities

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


def test_sublayers(both: tuple, text: Tensor) -> None:  # type: ignore[type-arg]
    """A sublayer that ends elsewhere, or whose outputs are laid out otherwise."""
    checkpoint, model = both
    means = torch.full((len(checkpoint.layers), len(SUBLAYERS), model.config.hidden_size), 0.1)
    found = losses(checkpoint, text, STEPS, 3, by="dataset_mean", means=means)
    assert torch.allclose(found.clean, likelihood(model, text), atol=1e-3)
    for layer in range(len(checkpoint.layers)):
        for place, name in enumerate(("attention_output", "mlp_output")):
            path = f"{checkpoint.architecture.layers}.{layer}.{getattr(checkpoint.architecture, name)}"

            def replace(_: nn.Module, __: object, output: Any) -> Any:
                flat = output[0] if isinstance(output, tuple) else output
                changed = torch.full_like(flat, 0.1)
                return (changed, *output[1:]) if isinstance(output, tuple) else changed

            with model.get_submodule(path).register_forward_hook(replace):
                expected = likelihood(model, text)
            assert torch.allclose(found.log_probability[:, layer, place], expected, atol=1e-3)


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


def test_tuned_lens(both: tuple, text: Tensor) -> None:  # type: ignore[type-arg]
    """A gradient that is lost, or a divergence of other logits than the class's own."""
    checkpoint, _ = both
    checkpoint.model.requires_grad_(False)
    length = PROMPT + STEPS - 1
    maps = trained(checkpoint, text, length, {"steps": 8, "step_rows": 5, "seed": 1}, 5)
    before, after = (divergence(checkpoint, text, length, each, 5) for each in (identities(checkpoint), maps))
    assert len(before) == len(checkpoint.layers) - 1 and (after > 0).all() and (after < before).all()


def test_dimension(both: tuple, text: Tensor) -> None:  # type: ignore[type-arg]
    """A stream that is another than what the unembedding comes to be given."""
    checkpoint, model = both
    found = streams(checkpoint, text, STEPS, 8)
    unembedding = checkpoint.model.get_submodule(checkpoint.architecture.unembedding)
    with torch.inference_mode():
        logits = checkpoint.logits(unembedding(checkpoint.final(found[:, :, -1])))
        own = model(input_ids=text[:, :-1], use_cache=False).logits[:, [PROMPT - 1, PROMPT + STEPS - 2]]
    assert torch.allclose(logits, own, atol=1e-3)


def test_recovery(both: tuple, text: Tensor) -> None:  # type: ignore[type-arg]
    """Noise that does not come through a layer's output."""
    checkpoint, _ = both
    disturb = ResidualNoise(checkpoint, 1, list(range(5)), 0.2, 1, "token", "prompt")
    found = compared(checkpoint, text[:, :PROMPT], disturb, 1, 8)
    assert found[0].isfinite().all()
    assert torch.allclose(found[0][:, 0], torch.tensor(1.04**-0.5), atol=0.05)
    assert float((1 - found[0]).abs().min()) > TOLERANCE


def test_attention(both: tuple, text: Tensor) -> None:  # type: ignore[type-arg]
    """Masses of the unmodified weights, or a sentence of a class whose weights are not known."""
    checkpoint, model = both
    spans = spans_of(PROMPT, STEPS, 2, False)
    if checkpoint.architecture.own_attention:
        with pytest.raises(ReciteError, match="computes attention itself"):
            attend_to(checkpoint, text, STEPS, 8, spans)
        return
    found = attend_to(checkpoint, text, STEPS, 8, spans)
    with torch.inference_mode():
        attentions = model(input_ids=text[:, :-1], use_cache=False, output_attentions=True).attentions
    weights = torch.stack(attentions, dim=1)[..., -STEPS:, : PROMPT + STEPS - 1]
    for place, keys in enumerate([range(1), range(1, PROMPT // 2)]):
        expected = weights[..., keys.start : keys.stop].sum(-1).mean(-1)
        assert torch.allclose(found.mass[..., place], expected, atol=1e-5)
    assert torch.allclose(found.clean_log_probability, likelihood(model, text), atol=1e-3)
