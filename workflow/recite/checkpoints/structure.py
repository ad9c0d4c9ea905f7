"""The parts of a decoder that has no row in the architecture table, found by structure on its empty model.

What is found here is a guess by sizes, places and names; `recite.engine.proof` proves it, or refuses it.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from recite.checkpoints.architectures import Architecture
from recite.errors import ReciteError

OUTPUTS = ("o_proj", "out_proj", "dense", "c_proj", "wo", "out_lin", "linear_out", "out", "o")
"""What classes call the attention output projection, the usual names first."""
ATTENTION_NAMES = ("attn", "attention", "mixer", "att")
"""Parts of the names of what holds it."""
TUPLES = "hands_on_a_tuple"
"""Attribute of a layer whose output is a tuple."""
FACTORS, DIVISORS, CAPS = ("logit_scale", "lm_head_multiplier"), ("logits_scaling",), ("final_logit_softcapping",)
"""Keys of a config by which logits are multiplied, divided and capped."""


def found_parts(architecture: Architecture, model: PreTrainedModel, where: str) -> Architecture:
    """The architecture with the parts of `model`, which may be without weights; a row of the table as it is.

    Raises ReciteError, naming the part, where one is not found.
    """
    if architecture.known:
        return architecture
    config, paths = model.config, {module: name for name, module in model.named_modules()}
    embedding, unembedding = model.get_input_embeddings(), model.get_output_embeddings()
    if not isinstance(embedding, nn.Embedding) or not isinstance(unembedding, nn.Linear):
        raise no_part(where, architecture, "an embedding and a linear unembedding", "others")
    layers = _layers(model, where, architecture)
    projection = _attention_output(layers, config)
    parent = model.get_submodule(paths[layers].rpartition(".")[0])
    norm, after = _after_layers(parent, layers, where, architecture)
    factor, divisor, cap = (_number(config, keys) for keys in (FACTORS, DIVISORS, CAPS))
    return replace(
        architecture,
        embedding=paths[embedding],
        layers=paths[layers],
        final_norm=paths[norm],
        unembedding=paths[unembedding],
        attention_output=projection,
        mlp_output=_mlp_output(layers, config),
        before_unembedding=tuple(paths[module] for module in after),
        logit_factor=factor or 1.0,
        logit_divisor=divisor or 1.0,
        logit_cap=cap,
        width_of_head=_inputs(layers[0].get_submodule(projection)) // config.num_attention_heads
        if projection
        else None,
        own_attention=not model._can_set_attn_implementation(),
    )


def no_part(where: str, architecture: Architecture, wanted: str, found: str) -> ReciteError:
    """The error for a class that the engine cannot run: what it needs, and what is there instead."""
    return ReciteError(
        f"{where}: {architecture.model_class} cannot be run here: the engine needs {wanted}, and it has {found}; "
        "name a checkpoint of another class."
    )


def _layers(model: PreTrainedModel, where: str, architecture: Architecture) -> nn.ModuleList:
    """The list of decoder layers: as many as the config says, with most parameters."""
    count = getattr(model.config, "num_hidden_layers", None)
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    if not lists:
        raise no_part(where, architecture, f"a list of {count} decoder layers", "none")
    return max(lists, key=lambda module: sum(parameter.numel() for parameter in module.parameters()))


def _after_layers(
    parent: nn.Module, layers: nn.ModuleList, where: str, architecture: Architecture
) -> tuple[nn.Module, list[nn.Module]]:
    """The final norm, which stands beside the layers, behind them where there is a choice; and what projects it."""
    beside = list(parent.named_children())
    place = next(place for place, (_, module) in enumerate(beside) if module is layers)
    norms = [(name, module) for name, module in beside if is_norm(module)]
    behind = [(name, module) for name, module in beside[place + 1 :] if is_norm(module)]
    named = [(name, module) for name, module in norms if "final" in name]
    chosen = behind[:1] or named[:1] or norms[-1:]
    if not chosen:
        raise no_part(where, architecture, "a norm after the last layer", "none beside its layers")
    after: list[nn.Module] = [
        module for name, module in beside if isinstance(module, nn.Linear) and name == "project_out"
    ]
    return chosen[0][1], after


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm, by what its class is called."""
    return "norm" in type(module).__name__.lower()


def _attention_output(layers: nn.ModuleList, config: PretrainedConfig) -> str:
    """Path in every layer to its attention output projection; empty where they have none.

    It leads to the residual width, from a multiple of the heads.
    """
    found: list[tuple[int, int, str, int]] = []
    for name, module in layers[0].named_modules():
        inside, _, last = name.rpartition(".")
        if (
            _is_attention(name)
            and "cross" not in inside
            and isinstance(module, nn.Linear | Conv1D)
            and _outputs(module) == config.hidden_size
        ):
            rank = OUTPUTS.index(last) if last in OUTPUTS else len(OUTPUTS)
            found.append((rank, -len(found), name, _inputs(module) % config.num_attention_heads))
    path = min((place for place in found if not place[3]), default=(0, 0, "", 0))[2]
    return path if all(path in dict(layer.named_modules()) for layer in layers) else ""


def _mlp_output(layers: nn.ModuleList, config: PretrainedConfig) -> str:
    """Path in every layer to the one projection beside attention that leads to the residual width.

    Where there are several or none, as in mixtures of experts, to the one part that is neither attention nor a norm;
    empty where layers differ or that is not one.
    """
    found = [(_down_projections(layer, config.hidden_size), _parts(layer)) for layer in layers]
    for paths in zip(*found, strict=True):
        if all(path == paths[0] for path in paths) and len(paths[0]) == 1:
            return paths[0][0]
    return ""


def _down_projections(layer: nn.Module, width: int) -> list[str]:
    """Paths to what leads to the residual width, in no part of a part."""
    return [
        name
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and _outputs(module) == width and not _is_attention(name)
        if name.count(".") < 2
    ]


def _parts(layer: nn.Module) -> list[str]:
    """Names of a layer's parts that hold weights and are neither attention nor a norm."""
    return [
        name
        for name, module in layer.named_children()
        if not is_norm(module) and not _is_attention(f"{name}.") and next(module.parameters(), None) is not None
    ]


def _is_attention(path: str) -> bool:
    """Whether a path leads into attention."""
    return any(word in path.rpartition(".")[0].lower() for word in ATTENTION_NAMES)


def _inputs(module: Any) -> int:
    return int(module.in_features if isinstance(module, nn.Linear) else module.nx)


def _outputs(module: Any) -> int:
    return int(module.out_features if isinstance(module, nn.Linear) else module.nf)


def _number(config: PretrainedConfig, keys: tuple[str, ...]) -> float | None:
    """What a config says by one of the keys, if that is a number."""
    for key in keys:
        value = getattr(config, key, None)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def mark_tuples(model: PreTrainedModel, architecture: Architecture) -> None:
    """Mark the layers of a class that hand on a tuple, whose first is the residual stream; see TUPLES."""
    if architecture.known:
        return
    layers = model.get_submodule(architecture.layers)
    seen: list[bool] = []

    def see(module: nn.Module, arguments: Any, output: Any) -> None:
        seen.append(isinstance(output, tuple))
        raise _SeenError

    tokens = torch.zeros(1, 2, dtype=torch.int64, device=model.device)
    try:
        with next(layers.children()).register_forward_hook(see), torch.inference_mode(), suppress(_SeenError):
            model(input_ids=tokens, use_cache=False)
    except ReciteError:
        raise
    except Exception as error:  # what a class's own code makes of its config and weights
        what = " ".join(str(error).split()) or type(error).__name__
        reason = f"{architecture.model_class} stops in its first layer ({what})"
        raise ReciteError(f"{reason}; correct the config, or name a checkpoint of another class.") from None
    for layer in layers.children():
        setattr(layer, TUPLES, seen == [True])


class _SeenError(Exception):
    """Leaves a model whose first layer has been run."""
