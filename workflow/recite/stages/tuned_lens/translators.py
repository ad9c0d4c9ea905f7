"""Translators: an affine map for every layer but the last, h + C_l h + b_l, in float32 (Belrose et al., 2303.08112).

C_l and b_l begin at 0, where a layer is decoded as by the plain lens; the last layer is the model's own and has none.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.errors import ReciteError
from recite.files import atomic


class Translators(NamedTuple):
    """change: C_l, (width, width); bias: b_l, (width,): of every layer but the last."""

    change: list[Tensor]
    bias: list[Tensor]

    def translated(self, layer: int, hidden: Tensor) -> Tensor:
        """What is decoded in place of a layer's output, (..., width), in its precision; of the last layer itself."""
        if layer == len(self.bias):
            return hidden
        wide = hidden.to(self.bias[layer].device).float()
        return (wide + wide @ self.change[layer].T + self.bias[layer]).to(hidden.dtype)

    def save(self, path: Path) -> None:
        """Write them as safetensors, whole or not at all."""
        with atomic(path) as temporary:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in self.named().items()}, temporary)

    def named(self) -> dict[str, Tensor]:
        """The tensors by their names in a file, as `0.change`."""
        return {f"{layer}.{name}": part for name in self._fields for layer, part in enumerate(getattr(self, name))}


def identities(checkpoint: Checkpoint) -> Translators:
    """Translators that change nothing, beside the model's last layer."""
    width, layers = int(checkpoint.model.config.hidden_size), len(checkpoint.layers) - 1
    device = next((tensor.device for tensor in checkpoint.layers[-1].parameters()), checkpoint.model.device)
    shapes = ((width, width), (width,))
    return Translators(*([torch.zeros(shape, device=device) for _ in range(layers)] for shape in shapes))


def read_translators(path: Path, checkpoint: Checkpoint) -> Translators:
    """The translators of a model, beside its last layer; ReciteError where the file is of another model or damaged."""
    wanted = identities(checkpoint).named()
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ReciteError(f"{path} cannot be read ({error}); delete it and run again.") from None
    if {name: tensor.shape for name, tensor in found.items()} != {name: part.shape for name, part in wanted.items()}:
        raise ReciteError(f"{path} holds translators of another model; delete it and run again.")
    placed = {name: tensor.to(wanted[name].device) for name, tensor in found.items()}
    layers = range(len(checkpoint.layers) - 1)
    return Translators(*([placed[f"{layer}.{name}"] for layer in layers] for name in Translators._fields))
