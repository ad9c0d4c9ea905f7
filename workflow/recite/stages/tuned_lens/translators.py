"""Translators: an affine map for every layer but the last, h + C_l h + b_l, in float32 (Belrose et al., 2303.08112).

C_l and b_l begin at 0, where a layer is decoded as by the plain lens; the last layer is the model's own and has none.
"""

from collections.abc import Sequence
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
    """By layer, every decoded one but the last: change: C_l, (width, width); bias: b_l, (width,)."""

    change: dict[int, Tensor]
    bias: dict[int, Tensor]

    def translated(self, layer: int, hidden: Tensor) -> Tensor:
        """What is decoded in place of a layer's output, (..., width), in its precision; itself without a translator."""
        if layer not in self.bias:
            return hidden
        wide = hidden.to(self.bias[layer].device).float()
        return (wide + wide @ self.change[layer].T + self.bias[layer]).to(hidden.dtype)

    def placed(self, device: torch.device) -> "Translators":
        """The same on a device."""
        return Translators(*({layer: tensor.to(device) for layer, tensor in part.items()} for part in self))

    def save(self, path: Path) -> None:
        """Write them as safetensors, whole or not at all."""
        with atomic(path) as temporary:
            save_file({name: tensor.cpu().contiguous() for name, tensor in self.named().items()}, temporary)

    def named(self) -> dict[str, Tensor]:
        """The tensors by their names in a file, as `0.change`."""
        parts = zip(self._fields, self, strict=True)
        return {f"{layer}.{name}": tensor for name, part in parts for layer, tensor in part.items()}


def identities(checkpoint: Checkpoint, layers: Sequence[int] | None = None) -> Translators:
    """Translators that change nothing, on the CPU, for all `layers`, all there are unless given, but the last."""
    width, last = int(checkpoint.model.config.hidden_size), len(checkpoint.layers) - 1
    translated = [layer for layer in (range(last) if layers is None else layers) if layer < last]
    shapes = ((width, width), (width,))
    return Translators(*({layer: torch.zeros(shape) for layer in translated} for shape in shapes))


def last_device(checkpoint: Checkpoint) -> torch.device:
    """Where the model's last layer lies, which is where translators are."""
    return next((tensor.device for tensor in checkpoint.layers[-1].parameters()), checkpoint.model.device)


def read_translators(path: Path, checkpoint: Checkpoint, layers: Sequence[int] | None = None) -> Translators:
    """The translators of a model's `layers`, all unless given, beside its last one.

    ReciteError where the file is of another model, or of other layers, or damaged.
    """
    wanted = identities(checkpoint, layers)
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ReciteError(f"{path} cannot be read ({error}); delete it and run again.") from None
    shapes = {name: tensor.shape for name, tensor in wanted.named().items()}
    if {name: tensor.shape for name, tensor in found.items()} != shapes:
        raise ReciteError(f"{path} holds translators of another model or of other layers; delete it and run again.")
    read = ({layer: found[f"{layer}.{name}"] for layer in wanted.bias} for name in Translators._fields)
    return Translators(*read).placed(last_device(checkpoint))
