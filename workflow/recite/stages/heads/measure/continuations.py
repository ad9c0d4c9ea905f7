"""Head ablation: every row continued once more for each attention head, with that head's output replaced.

Layers below the head's are not run again, and the clean continuation is the draft: most heads leave it as it is.
Layers go from the last to the first, because what lies below a head also lies below those of the layers before it.

Memory, beside that of `continue_greedily` with `block_batches` (see `_batches`), which keeps keys and values of the
ablated layer and above: `recite.engine.activations.trace` of `batch_rows` rows, and `recite.engine.branches.Branches`
of as many nodes as two blocks of BLOCK_BATCHES, or one of a layer's, may have.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.activations import trace
from recite.engine.branches import Restart
from recite.engine.continuation import Continuation, continue_greedily
from recite.engine.finite import at_rows
from recite.engine.interventions.heads import HeadReplacement, Replacement
from recite.engine.passes import BLOCK_BATCHES, PASS_TOKENS
from recite.progress import Done, unseen


class Ablation(NamedTuple):
    """Some rows without each head of one layer, or each chosen one; the continuation is (rows, heads, ...)."""

    rows: range
    layer: int
    continuation: Continuation


def ablate_heads(
    checkpoint: Checkpoint,
    context: Tensor,
    clean: Tensor,
    batch_rows: int,
    *,
    by: Replacement = "mean_of_others",
    means: Sequence[Tensor] | None = None,
    donors: Tensor | None = None,
    layers: Sequence[int] | None = None,
    chosen: Mapping[int, Tensor] | None = None,
    likelihood: bool = False,
    block_batches: int | None = None,
    done: Done = unseen,
) -> Iterator[Ablation]:
    """Ablate every head of `layers` (all by default) one by one, `batch_rows` rows at a time.

    With `chosen`, layer -> numbers of its heads, only those; layers without any are passed over. `done` is told the
    number of rows that have been continued, each once for every head. Layers come in the order asked for; those that
    are asked for before a later layer wait until that is done. `context` (rows, length) and `clean`, its undisturbed
    continuation (rows, steps), are int64 token ids; `likelihood` tells how probable the latter is, too. `means` are
    each layer's (heads x width), see `mean_outputs`; `donors` (rows, length + steps) the texts whose outputs are taken.
    """
    prompt, steps, heads = context.shape[1], clean.shape[1], chosen or _all_heads(checkpoint)
    for start in range(0, len(context), batch_rows):
        rows = range(start, min(start + batch_rows, len(context)))
        part = slice(rows.start, rows.stop)
        traced = trace(checkpoint, context[part], clean[part], batch_rows, whole=likelihood)
        traced.branches.most = 2 * BLOCK_BATCHES * batch_rows * (steps - 1)
        values: Any = means if by != "resample" else _outputs(checkpoint, donors, part, prompt, batch_rows)
        ready: dict[int, Ablation] = {}
        waiting = [layer for layer in (heads if layers is None else layers) if len(heads[layer])]
        for layer in sorted(waiting, reverse=True):
            row, head = pairs(len(rows), heads[layer])
            with at_rows(rows.start + row):
                continuation = continue_greedily(
                    checkpoint,
                    context[part][row],
                    steps,
                    batch_rows,
                    draft=clean[part][row],
                    intervention=HeadReplacement(checkpoint, layer, head, by, values[layer] if values else None, row),
                    restart=Restart(traced, layer, row),
                    likelihood=likelihood,
                    block_batches=block_batches or _batches(checkpoint, layer, batch_rows),
                    done=done,
                )
            shaped = (tensor.unflatten(0, (len(rows), len(heads[layer]))) for tensor in continuation)
            ready[layer] = Ablation(rows, layer, Continuation(*shaped))
            yield from _next(waiting, ready)


def _all_heads(checkpoint: Checkpoint) -> dict[int, Tensor]:
    return dict.fromkeys(range(len(checkpoint.layers)), torch.arange(checkpoint.heads))


def _next(waiting: list[int], ready: dict[int, Ablation]) -> Iterator[Ablation]:
    """Those that are ready, as far as they are the next that are waited for."""
    while waiting and waiting[0] in ready:
        yield ready.pop(waiting.pop(0))


def _outputs(
    checkpoint: Checkpoint, donors: Tensor | None, part: slice, prompt: int, batch_rows: int
) -> Mapping[int, Tensor]:
    """What the heads of every layer put out on some rows of text, (rows, length)."""
    assert donors is not None
    text = donors[part]
    return trace(checkpoint, text[:, :prompt], text[:, prompt:], batch_rows).heads


def _batches(checkpoint: Checkpoint, layer: int, batch_rows: int) -> int:
    """Batches of a block that ablates `layer`.

    BLOCK_BATCHES, and up to twice as many where the layers that keep keys and values are less than half; on a CPU also
    as many as fill a pass over single positions, which is fastest when it is full.
    """
    layers = len(checkpoint.layers)
    batches = min(2 * BLOCK_BATCHES, max(BLOCK_BATCHES, BLOCK_BATCHES * layers // (2 * (layers - layer))))
    return max(batches, PASS_TOKENS // batch_rows) if checkpoint.model.device.type == "cpu" else batches


def pairs(rows: int, heads: Tensor) -> tuple[Tensor, Tensor]:
    """Every row with each of the heads: the rows and the heads of the pairs, both (rows x heads,)."""
    return torch.arange(rows).repeat_interleave(len(heads)), heads.repeat(rows)


def mean_outputs(checkpoint: Checkpoint, context: Tensor, clean: Tensor, batch_rows: int) -> list[Tensor]:
    """Mean output of every head over the rows' positions, one (heads x width) a layer, float32."""
    layers = range(len(checkpoint.layers))
    sums = [torch.zeros(checkpoint.heads * checkpoint.head_width, dtype=torch.float64) for _ in layers]
    positions = context.shape[1] + clean.shape[1] - 1
    for start in range(0, len(context), batch_rows):
        chosen = slice(start, min(start + batch_rows, len(context)))
        heads = trace(checkpoint, context[chosen], clean[chosen], batch_rows).heads
        for layer in layers:
            sums[layer] += heads[layer][: chosen.stop - start].double().sum(dim=(0, 1)).cpu()
    return [(total / max(1, len(context) * positions)).float() for total in sums]
