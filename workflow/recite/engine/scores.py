"""Continuations held against the corpus.

M(X, Y) = (1/n) sum_k 1[x_k = y_k] over the n continuation tokens; the integer sum is kept.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import Continuation, Intervention, Pass
from recite.engine.finite import at_rows, refuse_non_finite
from recite.engine.made import made
from recite.engine.passes import check_length, forward, whole_rows
from recite.engine.residuals import Unkept, batches
from recite.engine.rows import Rows
from recite.progress import Done, unseen
from recite.tables.lists import as_lists


class Forced(NamedTuple):
    """What a model makes of true continuations that it is fed.

    log_probability: (rows,) float32, nats, the sum over tokens. hits: (rows,) int64, tokens that lead.
    """

    log_probability: Tensor
    hits: Tensor


def score_columns(rows: Rows, continuation: Continuation) -> dict[str, Any]:
    """Columns of the scores table."""
    equal = continuation.tokens == rows.continuation
    return {
        "row_id": rows.ids,
        "sequence_id": rows.sequences,
        "domain": rows.domains,
        "inclusion_probability": rows.probabilities,
        "hits": equal.sum(dim=1).numpy(),
        "first_mismatch": equal.cumprod(dim=1).sum(dim=1).numpy(),
        "generated": as_lists(continuation.tokens.numpy()),
        "margin": continuation.margin.numpy(),
    }


def score_metadata(
    options: Mapping[str, Any], checkpoint: Checkpoint, continuation: Continuation, batch_rows: int
) -> dict[str, Any]:
    """What every file of scores says of its making."""
    return made(options, checkpoint, batch_rows, continuation_tokens=continuation.tokens.shape[1])


@torch.inference_mode()
def forced(
    checkpoint: Checkpoint,
    text: Tensor,
    steps: int,
    batch_rows: int,
    *,
    intervention: Intervention | None = None,
    done: Done = unseen,
) -> Forced:
    """Feed `text` (rows, prompt + steps), int64 token ids, but for the last, and ask for its last `steps` tokens.

    `batch_rows` rows a pass, on a CPU fewer (see `whole_rows`), each under the `intervention` if there is one; `done`
    is told the rows of each. Raises NotFiniteError where a log-probability is not finite.
    """
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    found = Forced(torch.empty(len(text)), torch.empty(len(text), dtype=torch.int64))
    for rows, chosen in batches(len(text), whole_rows(checkpoint, batch_rows, fed)):
        with intervention(Pass(chosen.tolist(), 0, text.shape[1] - steps)) if intervention else nullcontext():
            logits = forward(checkpoint, text[chosen, :-1].to(checkpoint.model.device), Unkept(), steps)
        true = text[chosen, -steps:].to(logits.device)
        total, hits = torch.zeros(len(chosen), dtype=torch.float64), torch.zeros(len(chosen), dtype=torch.int64)
        for step in range(steps):  # in float32 all of them would take as much memory again as the logits
            logs = logits[:, step].float().log_softmax(-1)
            total += logs.gather(-1, true[:, step, None]).squeeze(-1).double().cpu()
            hits += (logits[:, step].argmax(-1) == true[:, step]).cpu()
        kept = rows.stop - rows.start
        with at_rows(chosen):
            refuse_non_finite(total, "likelihoods", checkpoint.dtype)
        found.log_probability[rows], found.hits[rows] = total[:kept].float(), hits[:kept]
        done(kept)
    return found
