"""The activations of one run over rows and their drafts: what every layer is given, for the engine to restart from.

The passes are those in which the engine checks drafts, so that a restarted run sees the same bits.
"""

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from recite.checkpoints.loading import Checkpoint
from recite.engine.branches import Branches, Trace
from recite.engine.passes import check_length, chunks, last_hidden, pass_rows
from recite.kernels.key_values import KeyValues


@torch.inference_mode()
def trace(checkpoint: Checkpoint, context: Tensor, draft: Tensor, batch_rows: int, whole: bool = False) -> Trace:
    """Run over `context` and all but the last token of `draft`, in the passes in which drafts are checked.

    `whole` is for continuations that tell the draft's log-probability.

    Memory per row: layers x positions x (width + (heads + 2 x key/value heads) x width of a head) numbers of the
    model's dtype.
    """
    prompt, steps = context.shape[1], draft.shape[1]
    length = prompt + steps - 1
    check_length(checkpoint, length)
    capacity = -(-len(context) // batch_rows) * batch_rows
    text = torch.zeros(capacity, length, dtype=torch.int64, device=checkpoint.model.device)
    text[: len(context)] = torch.cat([context, draft[:, :-1]], dim=1)
    cache = KeyValues(capacity, length)
    layers = range(len(checkpoint.layers))
    residuals = [_Recorder(checkpoint.layers[layer], capacity, length) for layer in layers]
    heads = [_Recorder(checkpoint.attention_output(layer), capacity, length) for layer in layers]
    with ExitStack() as stack:
        for recorder in (*residuals, *heads):
            stack.enter_context(recorder)
        for chunk in chunks(steps, whole):
            cache.start = prompt + chunk.start - 1 if chunk.start else 0
            span = slice(cache.start, prompt + chunk.stop - 1)
            size = pass_rows(checkpoint, batch_rows, span.stop - span.start)
            for low in range(0, len(context), size):
                base = min(low, capacity - size)
                window = cache.window = cache.written = slice(base, base + size)
                for recorder in (*residuals, *heads):
                    recorder.place = window, span
                last_hidden(checkpoint, text[window, span], cache, 1)
    return Trace(
        {layer: residuals[layer].seen for layer in layers},
        {layer: heads[layer].seen for layer in layers},
        cache.layers,
        Branches(checkpoint, cache.layers, batch_rows),
    )


class _Recorder:
    """Keeps what a module is given, (rows, positions, width), within the block."""

    def __init__(self, module: nn.Module, rows: int, positions: int) -> None:
        self.module, self.shape = module, (rows, positions)
        self.place = slice(0, rows), slice(0, positions)
        self.seen = torch.empty(0)

    def __enter__(self) -> None:
        self.handle = self.module.register_forward_pre_hook(self._see)

    def __exit__(self, *_: object) -> None:
        self.handle.remove()

    def _see(self, module: nn.Module, arguments: Any) -> None:
        if not self.seen.numel():
            self.seen = arguments[0].new_zeros(*self.shape, arguments[0].shape[-1])
        self.seen[self.place] = arguments[0]
