"""Noise of rows: the generator against published answers, the numbers against their distribution."""

import pytest
import torch
from scipy import stats

from recite.engine.interventions.gaussian import BLOCKS, philox, row_noise

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_known_answers(counter: list[int], key: list[int], answer: list[int]) -> None:
    """Those of Random123, the authors' library; counters side by side do not touch each other."""
    words = [torch.tensor([word, 5]) for word in counter]
    found = philox(words, [torch.tensor(word) for word in key])
    assert [int(word[0]) for word in found] == answer


def test_depends_on_seed_row_layer_and_position_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise of a position must not shift with where a pass begins, how much it feeds, or the rows beside it."""
    at_once = row_noise(1, [2, 7, 9], 3, 0, 40, 17, CPU)
    for start, stop in ((39, 40), (0, 32), (31, 39), (5, 5), (32, 33)):
        assert torch.equal(row_noise(1, [9, 2], 3, start, stop, 17, CPU), at_once[[2, 0], start:stop])
    assert torch.equal(row_noise(1, [2, 7], 3, 0, 40, 6, CPU), at_once[:2, :, :6])
    monkeypatch.setitem(BLOCKS, "cpu", 250)  # a row at a time
    assert torch.equal(row_noise(1, [2, 7, 9], 3, 0, 40, 17, CPU), at_once)
    others = [row_noise(2, [2], 3, 0, 40, 17, CPU), row_noise(1, [2], 4, 0, 40, 17, CPU), at_once[1:2]]
    assert not any((at_once[0] == other[0]).any() for other in others)
    assert len(at_once.unique()) > 0.99 * at_once.numel()


def test_is_standard_normal_and_independent() -> None:
    """Numbers of a neighbouring place, position or row, or of a transform's pair, must tell nothing of each other."""
    noise = row_noise(5, range(200), 0, 0, 32, 64, CPU).double()
    assert stats.kstest(noise.flatten()[::4].numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(noise.flatten()[1::4].numpy(), "norm").pvalue > 1e-3
    assert float(noise.abs().max()) > 4  # 410,000 numbers
    count = noise.numel()
    for one, other in (
        (noise[1:], noise[:-1]),
        (noise[:, 1:], noise[:, :-1]),
        *((noise[..., apart:], noise[..., :-apart]) for apart in (1, 2, 4)),
    ):
        for power in (1, 2):
            correlation = float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]) ** power)[0, 1])
            assert abs(correlation) < 5 / count**0.5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_the_same_on_a_gpu() -> None:
    """A study that moves to another machine is to disturb the same way."""
    here, there = (row_noise(5, range(50), 0, 0, 32, 4096, torch.device(name)).cpu() for name in ("cpu", "cuda"))
    torch.testing.assert_close(here, there, atol=1e-6, rtol=1e-6)
    assert float((here != there).double().mean()) < 1e-6
