"""A pass over whole rows, seen in every layer: its attention weights and its residual stream; nothing is kept."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from recite.checkpoints.loading import Checkpoint
from recite.engine.passes import check_attention, forward
from recite.engine.rows import Rows
from recite.kernels.attention import watching
from recite.kernels.key_values import KeyValues

See = Callable[[int, Tensor], None]
"""Given a layer, from 0, and its output, (rows, positions, width), or its weights, (rows, heads, queries, keys)."""


class Unkept(KeyValues):
    """In place of a cache: a row that is fed whole needs no keys and values but those of its own pass."""

    def __init__(self) -> None:
        super().__init__(0, 0)

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Hand back what came."""
        return key, value


def prompts(rows: Rows, bos: int | None) -> Tensor:
    """Contexts, (rows, length) int64, each behind the token `bos` where the model has one."""
    if bos is None:
        return rows.context.long()
    return torch.cat([torch.full_like(rows.context[:, :1], bos), rows.context], dim=1).long()


def texts_of(rows: Rows, bos: int | None) -> Tensor:
    """Contexts and true continuations, (rows, length) int64, behind the token `bos` where the model has one."""
    return torch.cat([prompts(rows, bos), rows.continuation], dim=1)


def batches(rows: int, batch_rows: int) -> Iterator[tuple[slice, Tensor]]:
    """Rows in batches of one size: which they are, and their indices, the last repeated where a batch is not full."""
    for start in range(0, rows, batch_rows):
        stop = min(start + batch_rows, rows)
        yield slice(start, stop), torch.arange(start, start + batch_rows).clamp(max=stop - 1)


def run(checkpoint: Checkpoint, tokens: Tensor, see: See, first: int = 0) -> None:
    """Feed `tokens` (rows, positions) once and call `see` with the output of every layer from `first` on.

    Hooks that were there before, such as an intervention's, have changed the output already.
    """
    with ExitStack() as stack:
        for layer, module in enumerate(checkpoint.layers[first:], start=first):
            stack.enter_context(output_changed(module, partial(see, layer)))
        forward(checkpoint, tokens.to(checkpoint.model.device), Unkept(), 1)


@contextmanager
def weights_seen(checkpoint: Checkpoint, see: See) -> Iterator[None]:
    """Within the block `see` is given the attention weights of every layer, float32; ReciteError where none are known.

    The weights of a query are over all keys, those after it 0; they sum up to 1, or less where a class has sinks.
    """
    check_attention(checkpoint)
    layer_of = {part: layer for layer, module in enumerate(checkpoint.layers) for part in module.modules()}
    with watching(lambda module, weights: see(layer_of[module], weights)):
        yield


@contextmanager
def output_changed(module: nn.Module, change: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Within the block `change` is given the residual stream that a layer hands on; what it returns takes its place."""

    def hook(module: nn.Module, arguments: Any, output: Any) -> Any:
        changed = change(output[0] if isinstance(output, tuple) else output)
        if changed is None:
            return None
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    with module.register_forward_hook(hook):
        yield
