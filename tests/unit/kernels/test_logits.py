"""What is read of logits in slices against the whole of them in double precision, ranks by sorting."""

import pytest
import torch
from torch import Tensor

from recite.kernels.logits import BLOCK, choose, say

ROWS, STEPS = 40, 3


def drawn(vocabulary: int, dtype: torch.dtype, scale: float) -> tuple[Tensor, Tensor]:
    """Logits and true tokens; the first row's are far apart, so that its distribution is one token."""
    generator = torch.Generator().manual_seed(vocabulary)
    logits = scale * torch.randn(ROWS, STEPS, vocabulary, generator=generator)
    logits[0] *= 20
    return logits.to(dtype), torch.randint(0, vocabulary, (ROWS, STEPS), generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scale", [0.1, 5.0])
@pytest.mark.parametrize("vocabulary", [2, 127, 128, 300, 1024, 5000])
@pytest.mark.parametrize("size", [128, 256, 8192])
def test_slices_say_what_all_logits_say(vocabulary: int, size: int, scale: float, dtype: torch.dtype) -> None:
    """The last slice is smaller, or the only one; in half precision many logits are equal."""
    logits, true = drawn(vocabulary, dtype, scale)
    found = say(iter(logits.split(size, dim=-1)), true)
    exact = logits.double()
    logs = exact.log_softmax(dim=-1)
    own = exact.gather(-1, true[..., None])
    order = exact.sort(dim=-1, descending=True).values
    ranks = torch.searchsorted(-order, -own).squeeze(-1) + 1
    assert torch.equal(found.rank, ranks)
    assert torch.equal(found.choice, (exact == order[..., :1]).long().argmax(dim=-1))
    torch.testing.assert_close(
        found.log_probability, logs.gather(-1, true[..., None]).squeeze(-1).float(), atol=2e-6, rtol=2e-6
    )
    torch.testing.assert_close(found.entropy, -(logs.exp() * logs).sum(dim=-1).float(), atol=2e-6, rtol=2e-6)
    assert (found.entropy >= 0).all()
    assert [part.dtype for part in found] == [torch.float32, torch.int64, torch.float32, torch.int64]


def test_equal_logits_share_the_better_rank() -> None:
    """A rank is 1 + the number of better logits and the choice the first of the best, in whatever slices they lie."""
    logits = torch.zeros(1, 4, 600)
    logits[0, 1:, [100, 300, 599]] = 2
    logits[0, 2:, 400] = 3
    found = say(logits.split(256, dim=-1), torch.tensor([[17, 300, 599, 0]]))
    assert found.rank.tolist() == [[1, 1, 2, 5]]
    assert found.choice.tolist() == [[0, 100, 400, 400]]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [0, 200, 299])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_entropy_where_a_logit_is_none(bad: float, place: int, dtype: torch.dtype) -> None:
    """Prevents numbers of damaged weights from passing because the token itself lies in another slice."""
    logits, true = drawn(300, dtype, 1.0)
    logits[1, 2, place] = bad
    found = say(logits.split(256, dim=-1), true)
    assert found.entropy.isfinite().logical_not().nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("size", [128, 256, 1024])
@pytest.mark.parametrize("vocabulary", [2, 5, 127, 128, 129, 300, 512])
def test_best_and_second_best_logit(vocabulary: int, size: int) -> None:
    """They may lie in one block of logits or in two, in two slices, in a last block that is not full, and be equal."""
    assert size % BLOCK == 0
    logits = torch.randint(0, 4 * vocabulary, (200, 3, vocabulary), generator=torch.Generator().manual_seed(14)).float()
    logits[:20] = logits[:20].clamp(max=3 * vocabulary)  # ties
    choice, gap = choose(iter(logits.split(size, dim=-1)))
    values = logits.sort(dim=-1, descending=True).values
    assert torch.equal(choice, (logits == values[..., :1]).long().argmax(dim=-1))
    assert torch.equal(gap, values[..., 0] - values[..., 1])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("place", [0, 200, 299])
def test_a_margin_is_none_where_the_logits_are_none(bad: float, place: int) -> None:
    """Infinity beats every other logit, so its gap would be lost among the smallest of several."""
    logits = torch.randn(2, 3, 300, generator=torch.Generator().manual_seed(1))
    logits[1, 2, place] = bad
    _, gap = choose([logits[..., :256], logits[..., 256:]])
    assert torch.isnan(gap).nonzero().tolist() == [[1, 2]]
