"""What every layer of a model says of a true continuation: its output through final norm and unembedding.

The model is fed the continuation (teacher forcing), so that every layer is asked the same at every position. For the
last layer these are the model's own logits.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.finite import at_rows, refuse_non_finite
from recite.engine.passes import CHUNK, check_length, whole_rows
from recite.engine.residuals import batches, run
from recite.kernels.logits import Said, say
from recite.progress import Done, unseen

Translate = Callable[[int, Tensor], Tensor]
"""Given a layer, from 0, and its output, (..., width): what is decoded in its place."""


class Decoded(NamedTuple):
    """What each decoded layer says at each continuation position, as `recite.kernels.logits.Said` has it.

    All (rows, layers, steps), on the CPU.
    """

    log_probability: Tensor
    rank: Tensor
    entropy: Tensor
    choice: Tensor

    def amounts(self) -> dict[str, np.ndarray]:
        """The amounts that are averaged, (rows, layers, steps) float64."""
        log_probability = self.log_probability.double()
        values = {
            "probability": log_probability.exp(),
            "log_probability": log_probability,
            "log_rank": self.rank.double().log(),
            "entropy": self.entropy.double(),
        }
        return {name: value.numpy() for name, value in values.items()}

    def outcomes(self, true: Tensor) -> dict[str, np.ndarray]:
        """The outcomes that are counted, (rows, layers, steps) bool, where the tokens `true` (rows, steps) are.

        The last of the layers is that of the model.
        """
        leads = self.choice == true[:, None]
        settled = leads.flip(1).cumprod(dim=1).flip(1).bool()
        agrees = self.choice == self.choice[:, -1:]
        return {"leads": leads.numpy(), "settled": settled.numpy(), "agrees": agrees.numpy()}

    def by_row(self, true: Tensor) -> dict[str, np.ndarray]:
        """Of each row, (rows, layers): the means of its amounts, float32, and at how many positions, uint8."""
        means = {name: values.mean(axis=2).astype(np.float32) for name, values in self.amounts().items()}
        return means | {name: values.sum(axis=2, dtype=np.uint8) for name, values in self.outcomes(true).items()}


@torch.inference_mode()
def decode(
    checkpoint: Checkpoint,
    text: Tensor,
    steps: int,
    batch_rows: int,
    done: Done = unseen,
    translate: Translate | None = None,
    layers: Sequence[int] | None = None,
) -> Iterator[tuple[slice, Decoded]]:
    """Decode `batch_rows` rows at a time: which rows, and what the layers say of their last `steps` tokens.

    `text` (rows, prompt + steps) are int64 token ids, of which all but the last are fed, on a CPU fewer rows at a time
    (see `whole_rows`); `done` is told the rows of every pass. Only `layers`, ascending, are decoded, all unless given.
    What `translate` makes of a layer's output is decoded in its place; what the model goes on with is not changed.
    Raises NotFiniteError where logits are not finite.
    """
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    chosen_layers = range(len(checkpoint.layers)) if layers is None else layers
    for rows, chosen in batches(len(text), whole_rows(checkpoint, batch_rows, fed)):
        found: list[Said] = []
        true = text[chosen, -steps:].to(checkpoint.model.device)

        def see(layer: int, hidden: Tensor, found: list[Said] = found, true: Tensor = true) -> None:
            if layer in chosen_layers:
                hidden = hidden[:, -steps:]
                found.append(read_off(checkpoint, translate(layer, hidden) if translate else hidden, true))

        run(checkpoint, text[chosen, :-1], see)
        decoded = Decoded(*(torch.stack(parts, dim=1).cpu() for parts in zip(*found, strict=True)))
        with at_rows(chosen):
            refuse_non_finite(decoded.entropy, "logits", checkpoint.dtype)
        kept = rows.stop - rows.start
        done(kept)
        yield rows, Decoded(*(part[:kept] for part in decoded))


def read_off(checkpoint: Checkpoint, hidden: Tensor, true: Tensor) -> Said:
    """What a layer whose output is `hidden` (rows, steps, width) says of the tokens `true` (rows, steps)."""
    parts = []
    for start in range(0, true.shape[1], CHUNK):
        final = checkpoint.final(hidden[:, start : start + CHUNK])
        slices = (checkpoint.logits(part(final)) for part in checkpoint.unembedding)
        parts.append(say(slices, true[:, start : start + CHUNK]))
    return Said(*(torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True)))


def logits_of(checkpoint: Checkpoint, hidden: Tensor) -> Tensor:
    """The unembedding of the final norm of a residual stream, (..., width) to (..., vocabulary)."""
    unembedding = checkpoint.model.get_submodule(checkpoint.architecture.unembedding)
    return checkpoint.logits(unembedding(checkpoint.final(hidden)))
