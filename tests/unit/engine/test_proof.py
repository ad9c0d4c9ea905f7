"""The proof of a class must be able to fail: a planted fault is refused by the name of the part."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decoders import saved, small_model
from recite.checkpoints.architectures import Architecture
from recite.checkpoints.inspection import inspect
from recite.checkpoints.loading import load_model
from recite.engine.passes import forwarding
from recite.engine.proof import prove
from recite.errors import ReciteError

Loaded = tuple[Any, Architecture]


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[str], Loaded]:
    """Class -> a model of it as it is loaded before a proof, and its parts as they are found."""

    def load(model_type: str) -> Loaded:
        found = inspect(saved(small_model(model_type), tmp_path / model_type))
        return load_model(found, torch.float32).eval(), found.architecture

    return load


def refused(model: Any, architecture: Architecture, part: str) -> None:
    with pytest.raises(ReciteError, match=rf"^here: {part} of \w+ cannot be proved: .*; name a checkpoint of another"):
        prove(model, architecture, "here")


@pytest.mark.parametrize(
    ("model_type", "change", "part"),
    [
        ("cohere", {"logit_factor": 1.0}, "the forward pass"),
        ("granite", {"logit_divisor": 1.0}, "the forward pass"),
        ("gemma2", {"logit_cap": None}, "the forward pass"),
        ("gemma2", {"logit_cap": 30.0}, "the forward pass"),
        ("qwen2", {"final_norm": "model.layers.0.input_layernorm"}, "final norm and unembedding"),
        ("opt", {"before_unembedding": ("model.decoder.final_layer_norm",)}, "final norm and unembedding"),
    ],
)
def test_wrong_parts(loaded: Callable[[str], Loaded], model_type: str, change: dict[str, Any], part: str) -> None:
    """A scale, a cap or a norm that was not found."""
    model, architecture = loaded(model_type)
    refused(model, replace(architecture, **change), f"({part})")


@pytest.mark.parametrize(
    ("model_type", "change", "part"),
    [
        ("qwen2", {"attention_output": "self_attn.q_proj"}, "the attention output projection"),
        ("qwen2", {"attention_output": "mlp.down_proj"}, "heads and their width"),
        ("mistral", {"width_of_head": 8}, "heads and their width"),
        ("mistral", {"shared_heads": lambda config: 4}, "heads and their width"),
        ("gpt2", {"attention_output": ""}, "no attention output projection"),
    ],
)
def test_wrong_heads(loaded: Callable[[str], Loaded], model_type: str, change: dict[str, Any], part: str) -> None:
    """Heads that are none leave the rest of the measurements; a study is told why."""
    model, architecture = loaded(model_type)
    assert prove(model, replace(architecture, **change), "here")["without_heads"].startswith(part)


@pytest.mark.parametrize(
    ("model_type", "change", "part"),
    [
        ("qwen2", {"mlp_output": "mlp.up_proj"}, "the sublayers"),
        ("qwen2_moe", {"mlp_output": "mlp.shared_expert.down_proj"}, "the sublayers"),
        ("gpt2", {"attention_output": "mlp.c_proj"}, "the sublayers"),
        ("bloom", {"mlp_output": "mlp"}, "the sublayers"),
        ("gpt2", {"mlp_output": ""}, "no MLP is found"),
        ("gpt2", {"attention_output": ""}, "no attention output projection"),
    ],
)
def test_wrong_sublayers(loaded: Callable[[str], Loaded], model_type: str, change: dict[str, Any], part: str) -> None:
    """What goes round the part that is replaced stays in the model; with Bloom's whole MLP goes the residual stream."""
    model, architecture = loaded(model_type)
    assert prove(model, replace(architecture, **change), "here")["without_sublayers"].startswith(part)


def test_wrong_number_of_heads(loaded: Callable[[str], Loaded]) -> None:
    """Half of the heads at twice the width would fill the projection too."""
    model, architecture = loaded("gpt2")
    model.config.num_attention_heads = 2
    reason = prove(model, architecture, "here")["without_heads"]
    assert reason.startswith("heads and their width cannot be proved: every layer should")


def test_heads_beside_the_projection(loaded: Callable[[str], Loaded]) -> None:
    """An output of a head that goes round the projection is not replaced with it."""
    model, architecture = loaded("qwen2")
    attention = model.model.layers[1].self_attn
    whole = attention.forward

    def forward(*given: Any, **named: Any) -> Any:
        seen: list[Tensor] = []
        with attention.o_proj.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0])):
            output, *others = whole(*given, **named)
        return (output + seen[0], *others)

    with forwarding([attention], forward):
        reason = prove(model, architecture, "here")["without_heads"]
    assert reason.startswith("the attention output projection cannot be proved: in layer 1")


def dropping(experts: nn.Module, room: int) -> Callable[..., Tensor]:
    """Experts that take the first `room` tokens of a pass and drop the others."""
    whole = experts.forward

    def forward(hidden: Tensor, *others: Any, **named: Any) -> Tensor:
        output: Tensor = whole(hidden, *others, **named)
        kept = torch.arange(len(output)) < room
        return output * kept.view(-1, *[1] * (output.ndim - 1))

    return forward


def test_experts_that_drop_tokens(loaded: Callable[[str], Loaded]) -> None:
    """A token that found no room with an expert has other logits beside other rows."""
    model, architecture = loaded("mixtral")
    experts = model.model.layers[1].mlp.experts
    with forwarding([experts], dropping(experts, 20)):
        refused(model, architecture, "the independence of rows")


def test_rows_that_see_each_other(loaded: Callable[[str], Loaded]) -> None:
    """Norms over a batch, and the like."""
    model, architecture = loaded("qwen2")
    model.model.layers[0].mlp.register_forward_hook(lambda _, given, output: output + output.mean(dim=0, keepdim=True))
    refused(model, architecture, "the independence of rows")


def test_positions_that_are_not_counted(loaded: Callable[[str], Loaded]) -> None:
    """A class that does not ask the cache where a pass begins."""
    model, architecture = loaded("qwen2")
    rotary, whole = model.model.rotary_emb, model.model.rotary_emb.forward

    def forward(hidden: Tensor, position_ids: Tensor, **named: Any) -> Any:
        return whole(hidden, position_ids - position_ids[:, :1], **named)

    with forwarding([rotary], forward):
        refused(model, architecture, "the forward pass")


def test_attention_to_what_comes_later(loaded: Callable[[str], Loaded]) -> None:
    """A class that is no decoder, as it sees both ways."""
    model, architecture = loaded("qwen2")
    mlp = model.model.layers[0].mlp
    mlp.register_forward_hook(lambda _, given, output: output + output.mean(dim=1, keepdim=True))
    refused(model, architecture, "the forward pass")


def test_a_class_that_stops(loaded: Callable[[str], Loaded]) -> None:
    """What a class asks of a cache that the engine's does not have is a sentence, not a trace."""
    model, architecture = loaded("qwen2")
    whole = model.model.layers[0].self_attn.forward

    def forward(*others: Any, past_key_values: Any = None, **named: Any) -> Any:
        if past_key_values is not None:
            past_key_values.conv_states  # noqa: B018
        return whole(*others, past_key_values=past_key_values, **named)

    with forwarding([model.model.layers[0].self_attn], forward):
        refused(model, architecture, "the (unmodified model|forward pass)")
