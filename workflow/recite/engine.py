"""The one primitive that calls a model: continue greedily, under an intervention where one is given.

All rows have one length and every forward pass has one batch shape: there is no padding token and
no attention mask, and the last batch is filled with rows that are thrown away. A row's result
therefore does not depend on the rows that share its batch, on the shard, or on a restart.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

Intervention = Callable[[list[int]], AbstractContextManager[object]]
"""Given the indices of a batch's rows (repeated where the batch is filled), changes the model within the block."""


class Continuation(NamedTuple):
    """Greedy continuations of some rows.

    tokens: (rows, steps) int64, the generated ids. EOS is a token like any other.
    margin: (rows,) float32, the smallest gap between the best and the second-best logit, over the steps.
    """

    tokens: Tensor
    margin: Tensor


@torch.inference_mode()
def continue_greedily(
    model: PreTrainedModel,
    context: Tensor,
    steps: int,
    batch_rows: int,
    intervention: Intervention | None = None,
) -> Continuation:
    """Continue every row of `context` (rows, length; int64 token ids) by `steps` greedy tokens.

    `batch_rows` is the number of rows of every forward pass. `intervention`, given the row indices of
    a batch, returns a context manager under which that batch is continued.
    """
    parts = []
    for start in range(0, len(context), batch_rows):
        rows = [min(row, len(context) - 1) for row in range(start, start + batch_rows)]
        with intervention(rows) if intervention else nullcontext():
            part = _continue_batch(model, context[rows].to(model.device), steps)
        real = min(batch_rows, len(context) - start)
        parts.append(Continuation(part.tokens[:real].cpu(), part.margin[:real].cpu()))
    return Continuation(torch.cat([part.tokens for part in parts]), torch.cat([part.margin for part in parts]))


def _continue_batch(model: PreTrainedModel, tokens: Tensor, steps: int) -> Continuation:
    cache = DynamicCache(config=model.config)
    generated = []
    margin = torch.full((len(tokens),), torch.inf, device=tokens.device)
    for _ in range(steps):
        logits = model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        best = logits.float().topk(2, dim=-1)
        margin = torch.minimum(margin, best.values[:, 0] - best.values[:, 1])
        tokens = logits.argmax(dim=-1, keepdim=True)
        generated.append(tokens)
    return Continuation(torch.cat(generated, dim=1), margin)
