"""How probable true continuations are, with a gradient where one is asked for, and what modules are given on the way.

The model is fed the true continuation (teacher forcing), in one pass over whole rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from recite.checkpoints.loading import Checkpoint
from recite.engine.finite import refuse_non_finite
from recite.engine.passes import forward
from recite.engine.residuals import Unkept

GRADIENT_SHARE = 8
"""A pass that keeps what its gradient needs takes about so many times the memory of one that does not."""


def log_probabilities(checkpoint: Checkpoint, text: Tensor, steps: int) -> Tensor:
    """Of the last `steps` tokens of each row of `text` together, (rows,) float32 on the CPU, all of them finite."""
    logits = forward(checkpoint, text[:, :-1].to(checkpoint.model.device), Unkept(), steps)
    true = text[:, -steps:].to(logits.device)
    # Position by position: in float32 all of them would take as much memory again as the logits.
    each = [
        logits[:, step].float().log_softmax(-1).gather(-1, true[:, step, None]).squeeze(-1) for step in range(steps)
    ]
    found = torch.stack(each).double().sum(dim=0).float().cpu()
    refuse_non_finite(found, "likelihoods", checkpoint.dtype)
    return found


@contextmanager
def given(modules: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """What each of the modules was given last within the block, (rows, positions, width)."""
    seen: list[Tensor] = [torch.empty(0)] * len(modules)

    def see(place: int) -> Any:
        def keep(module: nn.Module, arguments: Any) -> None:
            seen[place] = arguments[0]

        return keep

    with ExitStack() as stack:
        for place, module in enumerate(modules):
            stack.enter_context(module.register_forward_pre_hook(see(place)))
        yield seen
