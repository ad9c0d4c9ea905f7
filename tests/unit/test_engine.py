"""The engine against transformers' own generate and a plain loop over forward, on all six architectures."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from peers import generate
from recite.checkpoints import Checkpoint
from recite.engine import continue_greedily

STEPS = 32
NEAR_TIE = 1e-4
"""Logit margin under which float32 sums in another order may pick another token."""


def plain_loop(model: PreTrainedModel, context: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Tokens and smallest margins by whole forward passes, without a cache, a row at a time."""
    rows, margins = [], []
    with torch.inference_mode():
        for row in context:
            tokens, margin = row[None], torch.inf
            for _ in range(steps):
                logits = model(input_ids=tokens, use_cache=False).logits[0, -1]
                first, second = logits.sort(descending=True).values[:2]
                margin = min(margin, float(first - second))
                tokens = torch.cat([tokens, logits.argmax()[None, None]], dim=1)
            rows.append(tokens[0, len(row) :])
            margins.append(margin)
    return torch.stack(rows), torch.tensor(margins)


def assert_same_but_near_ties(tokens: Tensor, reference: Tensor, margin: Tensor) -> None:
    """Rows may differ only where the margin is a near-tie, and those must be few."""
    differing = (tokens != reference).any(dim=1)
    assert not differing[margin >= NEAR_TIE].any(), f"rows {differing.nonzero().flatten().tolist()} differ"
    assert int((margin < NEAR_TIE).sum()) <= len(margin) // 10


def test_equals_generate(checkpoint: Checkpoint, context: Tensor) -> None:
    """A wrong cache position or a masked token would change what published code generates."""
    found = continue_greedily(checkpoint.model, context, STEPS, batch_rows=8)
    reference = generate(checkpoint.model, context, STEPS)
    assert_same_but_near_ties(found.tokens, reference, found.margin)


def test_equals_plain_loop_with_margins(checkpoint: Checkpoint, context: Tensor) -> None:
    """The margin must be that of the logits that chose the tokens."""
    found = continue_greedily(checkpoint.model, context[:5], STEPS, batch_rows=4)
    tokens, margins = plain_loop(checkpoint.model, context[:5], STEPS)
    assert_same_but_near_ties(found.tokens, tokens, margins)
    same = (found.tokens == tokens).all(dim=1)
    torch.testing.assert_close(found.margin[same], margins[same], atol=2e-4, rtol=0)


def test_end_of_sequence_is_an_ordinary_token(checkpoint: Checkpoint, context: Tensor) -> None:
    """A model that generates EOS must go on, and EOS must not be masked."""
    model = checkpoint.model
    first = continue_greedily(model, context[:3], STEPS, batch_rows=4)
    before = model.config.eos_token_id, model.generation_config.eos_token_id
    model.config.eos_token_id = model.generation_config.eos_token_id = int(first.tokens[0, 2])
    try:
        again = continue_greedily(model, context[:3], STEPS, batch_rows=4)
    finally:
        model.config.eos_token_id, model.generation_config.eos_token_id = before
    assert torch.equal(first.tokens, again.tokens)


def test_bits_do_not_depend_on_batch_mates(checkpoint: Checkpoint, context: Tensor) -> None:
    """Shard count, row order and restart point must not change a row's result by a bit."""
    whole = continue_greedily(checkpoint.model, context, STEPS, batch_rows=8)
    order = torch.randperm(len(context), generator=torch.Generator().manual_seed(1))
    shuffled = continue_greedily(checkpoint.model, context[order], STEPS, batch_rows=8)
    assert torch.equal(whole.tokens[order], shuffled.tokens)
    assert torch.equal(whole.margin[order], shuffled.margin)
    for start, end in ((0, 1), (1, 12), (12, 23)):
        shard = continue_greedily(checkpoint.model, context[start:end], STEPS, batch_rows=8)
        assert torch.equal(whole.tokens[start:end], shard.tokens)
        assert torch.equal(whole.margin[start:end], shard.margin)
