"""The first layers of a checkpoint as a model of its class: enough for a proof, little to read of a large one."""

from copy import deepcopy
from typing import Any

from torch import nn
from transformers import PretrainedConfig

from recite.checkpoints.inspection import Inspected, empty_model

FEWEST = 2
"""Layers that a proof needs: one that begins and one that ends."""
PLACES = ("layer_idx", "layer_id", "layer_number", "block_idx")
"""Attributes by which layers of one kind differ."""


def shallow(found: Inspected) -> Inspected:
    """The same checkpoint cut off after the first layers that hold every kind of its layers.

    Two layers are of one kind if their parts have the same classes, shapes and settings. Where a class cannot be cut,
    or would make other layers of the first ones, the checkpoint comes back whole.
    """
    kinds = layer_kinds(found.empty, found.architecture.layers)
    last = max(kinds.index(kind) for kind in set(kinds))
    count = max(FEWEST, last + 1)
    if count >= len(kinds):
        return found
    try:
        config = cut_config(found.config, count)
        empty = empty_model(config, found.architecture)
        alike = layer_kinds(empty, found.architecture.layers) == kinds[:count]
        alike = alike and _others(empty, found.architecture.layers) == _others(found.empty, found.architecture.layers)
    except Exception:  # in which ways a class does not bear it, only the class knows
        return found
    return found._replace(config=config, empty=empty) if alike else found


def layer_kinds(model: nn.Module, path: str) -> list[str]:
    """What each layer is made of, as a text that is the same for layers of one kind."""
    return [_kind(layer) for layer in model.get_submodule(path).children()]


def _others(model: nn.Module, path: str) -> set[str]:
    """The tensors that are in no layer."""
    return {name for name in model.state_dict() if not name.startswith(f"{path}.")}


def _kind(layer: nn.Module) -> str:
    parts: list[Any] = []
    for name, module in layer.named_modules():
        settings = {
            key: value
            for key, value in vars(module).items()
            if not key.startswith("_") and key not in PLACES and isinstance(value, bool | int | float | str | None)
        }
        shapes = {key: tuple(tensor.shape) for key, tensor in module.named_parameters(recurse=False)}
        parts.append((name, type(module).__name__, sorted(settings.items()), sorted(shapes.items())))
    return repr(parts)


def cut_config(config: PretrainedConfig, count: int) -> PretrainedConfig:
    """A config of the first `count` layers: also what it lists by layer is cut."""
    cut, layers = deepcopy(config), config.num_hidden_layers
    for key, value in list(vars(cut).items()):
        if isinstance(value, list) and len(value) == layers:
            setattr(cut, key, value[:count])
    cut.num_hidden_layers = count
    return cut
