"""How probable the true continuation is that a model is fed, and what its modules see on the way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from recite.checkpoints.loading import Checkpoint
from recite.engine.finite import at_rows, refuse_non_finite
from recite.engine.passes import check_length, forward, whole_rows
from recite.engine.residuals import Unkept, batches, output_changed
from recite.progress import Done, unseen

See = Callable[[Sequence[nn.Module]], AbstractContextManager[list[Tensor]]]
GRADIENT_SHARE = 8
"""A pass that keeps what its gradient needs takes about so many times the memory of one that is traced."""


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


@contextmanager
def handed_on(modules: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """What each of the modules handed on last within the block, (rows, positions, width)."""
    seen: list[Tensor] = [torch.empty(0)] * len(modules)

    with ExitStack() as stack:
        for place, module in enumerate(modules):
            stack.enter_context(output_changed(module, partial(seen.__setitem__, place)))
        yield seen


@torch.inference_mode()
def states_of(
    checkpoint: Checkpoint, text: Tensor, batch_rows: int, modules: Sequence[nn.Module], see: See
) -> Iterator[list[Tensor]]:
    """What the modules are given or hand on, (rows, positions, width) each, of some rows of `text` after others.

    `text` (rows, length) is fed but for its last token; `see` is `given` or `handed_on`.
    """
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    for rows, batch in batches(len(text), whole_rows(checkpoint, batch_rows, fed)):
        with see(modules) as seen:
            forward(checkpoint, text[batch, :-1].to(checkpoint.model.device), Unkept(), 1)
        yield [states.view(len(batch), fed, -1)[: rows.stop - rows.start] for states in seen]


def mean_states(
    checkpoint: Checkpoint, text: Tensor, batch_rows: int, modules: Sequence[nn.Module], see: See, done: Done = unseen
) -> list[Tensor]:
    """Means of the same over rows and positions, (width,) each, float32 on the CPU; zeros of no rows."""
    if not len(text):
        of_one = mean_states(checkpoint, text.new_zeros(1, text.shape[1]), batch_rows, modules, see)
        return [torch.zeros_like(mean) for mean in of_one]
    sums: list[Any] = [0.0] * len(modules)
    for seen in states_of(checkpoint, text, batch_rows, modules, see):
        for place, states in enumerate(seen):
            sums[place] = sums[place] + states.double().sum(dim=(0, 1)).cpu()
        done(len(seen[0]))
    return [(total / (len(text) * (text.shape[1] - 1))).float() for total in sums]


@contextmanager
def differentiated(module: nn.Module) -> Iterator[None]:
    """Within the block gradients reach down to what the module is given."""

    def begin(module: nn.Module, arguments: Any) -> None:
        arguments[0].requires_grad_()

    with module.register_forward_pre_hook(begin):
        yield


def slopes(
    checkpoint: Checkpoint, text: Tensor, steps: int, batch_rows: int, modules: Sequence[nn.Module]
) -> Iterator[tuple[slice, Tensor, list[Tensor], Sequence[Tensor]]]:
    """By what the log-probability of the last `steps` tokens of `text` grows with what the modules are given.

    Rows; which rows a pass has, the last repeated where it is not full; of these what each module is given, and the
    gradient by that, both of one shape. `modules` stand in the order in which they are run. A pass has a
    GRADIENT_SHARE-th of `batch_rows` rows, see `whole_rows`.
    """
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    checkpoint.model.requires_grad_(False)
    for rows, chosen in batches(len(text), whole_rows(checkpoint, max(1, batch_rows // GRADIENT_SHARE), fed)):
        with at_rows(chosen), given(modules) as states, differentiated(modules[0]):
            gained = log_probabilities(checkpoint, text[chosen], steps)
        yield rows, chosen, [state.detach() for state in states], torch.autograd.grad(gained.sum(), states)
