"""Compressibility against one generation of transformers' own for every suffix length."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from peers import generate
from recite.checkpoints import Checkpoint
from recite.compressibility import sufficient_suffixes
from recite.engine import CHUNK, continue_greedily

LENGTH, STEPS = 12, CHUNK + 2
NEAR_TIE = 1e-4
BOS = 0


class Planted(NamedTuple):
    """Rows and what each suffix length leads to: (rows, lengths), and where that is not a near-tie."""

    context: Tensor
    continuation: Tensor
    sufficient: Tensor
    sure: Tensor


def planted(checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor, bos: int | None) -> Planted:
    """Nine rows that the model continues so from all tokens, from the last three, and not at all, three of each."""
    context = context[:9, :LENGTH]
    start = context[:, :0] if bos is None else torch.full((9, 1), bos)
    inputs = [torch.cat([start, context[:, LENGTH - length :]], dim=1) for length in range(1, LENGTH + 1)]
    generated = [generate(reference, tokens, STEPS) for tokens in inputs]
    margins = [continue_greedily(checkpoint, tokens, STEPS, 4).margin for tokens in inputs]
    continuation = torch.randint(0, 300, (9, STEPS), generator=torch.Generator().manual_seed(4))
    continuation[0:3] = generated[LENGTH - 1][0:3]
    continuation[3:6] = generated[2][3:6]
    continuation[7] = generated[5][7]
    continuation[7, -1] = (continuation[7, -1] + 1) % 300
    sufficient = torch.stack([(tokens == continuation).all(dim=1) for tokens in generated], dim=1)
    return Planted(context, continuation, sufficient, torch.stack(margins, dim=1) >= NEAR_TIE)


@pytest.mark.parametrize("bos", [None, BOS])
def test_equals_a_generation_for_every_length(
    checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor, bos: int | None
) -> None:
    """A suffix cut at the wrong end, without its BOS, or dropped too early would look insufficient."""
    rows = planted(checkpoint, reference, context, bos)
    found = sufficient_suffixes(checkpoint, rows.context, rows.continuation, 4, bos)
    assert found.shape == (9, LENGTH)
    assert rows.sure.float().mean() > 0.95
    assert torch.equal(found[rows.sure], rows.sufficient[rows.sure])
    assert rows.sufficient[0:3, -1].all() and rows.sufficient[3:6, 2].all()
    assert not rows.sufficient[3:6, -1].all() and not rows.sufficient[6:].any()


def test_shards_change_nothing(checkpoint: Checkpoint, context: Tensor) -> None:
    """A row must not depend on the rows beside it."""
    context = context[:9, :LENGTH]
    continuation = continue_greedily(checkpoint, context[:, -3:], STEPS, 4).tokens
    whole = sufficient_suffixes(checkpoint, context, continuation, 4)
    assert whole[:, 2].sum() >= 8
    for start, end in ((0, 1), (1, 9)):
        part = sufficient_suffixes(checkpoint, context[start:end], continuation[start:end], 4)
        assert torch.equal(part, whole[start:end])
