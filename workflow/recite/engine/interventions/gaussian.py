"""Standard normal noise that belongs to a row, a layer and a position: no batch, shard, pass or device changes it.

Philox 4x32-10, a counter-based generator, and Box and Muller's transform, in elementwise operations of torch: numbers
are made where they are needed, and no GPU waits for a core. Source: Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", SC 2011.
"""

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
WORD = 0xFFFFFFFF
BLOCKS = {"cpu": 2**15, "cuda": 2**22}
"""Counters that are worked on at once: on a CPU they stay in its caches, on a GPU they take 34 MB a tensor."""


def row_noise(
    seed: int, row_ids: Sequence[int], layer: int, start: int, stop: int, width: int, device: torch.device
) -> Tensor:
    """Noise of positions [start, stop) of some rows at a layer, (rows, positions, width) float32, on `device`.

    Logarithms and sines are taken in float64, so that devices differ, if at all, in a last bit of float32.
    """
    blocks, positions = -(-width // 4), stop - start
    keys = torch.tensor([_key(seed, row, layer) for row in row_ids], dtype=torch.int64, device=device).reshape(-1, 2)
    noise = torch.empty(len(row_ids), positions, width, device=device)
    block, zero = torch.arange(blocks, device=device), torch.zeros((), dtype=torch.int64, device=device)
    position = torch.arange(start, stop, device=device)[:, None]
    rows = max(1, BLOCKS[device.type] // max(1, positions * blocks))
    for low in range(0, len(row_ids), rows):
        words = philox((block, position, zero, zero), keys[low : low + rows, :, None, None].unbind(1))
        noise[low : low + rows] = _normal(words).flatten(-2)[..., :width]
    return noise


def philox(counter: Sequence[Tensor], key: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Four random words for each counter of four words and key of two; words of 32 bits, in int64."""
    one, two, three, four = counter
    keys = list(key)
    for _ in range(ROUNDS):
        left, right = MULTIPLIERS[0] * one, MULTIPLIERS[1] * three  # int64 overflows, its bits are right
        one, three = (right >> 32 & WORD) ^ two ^ keys[0], (left >> 32 & WORD) ^ four ^ keys[1]
        two, four = right & WORD, left & WORD
        keys = [word + step & WORD for word, step in zip(keys, KEY_STEPS, strict=True)]
    return one, two, three, four


def _key(seed: int, row: int, layer: int) -> list[int]:
    digest = hashlib.blake2b(f"noise\x1f{seed}\x1f{row}\x1f{layer}".encode(), digest_size=8).digest()
    return [int.from_bytes(digest[:4]), int.from_bytes(digest[4:])]


def _normal(words: Sequence[Tensor]) -> Tensor:
    """Standard normal numbers of four random words, (..., 4) float64."""
    found = []
    for size, angle in (words[:2], words[2:]):
        radius = ((size.double() + 0.5) * 2.0**-32).log().mul(-2).sqrt()
        turn = angle.double() * (math.tau * 2.0**-32)
        found += [radius * turn.cos(), radius * turn.sin()]
    return torch.stack(found, dim=-1)
