"""What is read of logits: the best token, by how much it leads, and how probable given tokens are.

Logits are many, and come in slices of the vocabulary that are read once, while they are in the caches.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 128
"""Logits of which `choose` looks at the greatest first; a divisor of `recite.kernels.packing.SLICE`."""


class Likelihood:
    """Log-probabilities of tokens, (rows, positions), from slices of logits that are read once on their way."""

    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens[..., None]
        self.sums: list[Tensor] = []
        self.logits = torch.zeros(tokens.shape)

    def hearing(self, slices: Iterable[Tensor]) -> Iterator[Tensor]:
        """The slices, each those of the tokens that follow the last one's, as they are."""
        before = 0
        for logits in slices:
            tokens = self.tokens.to(logits.device) - before
            here = (tokens >= 0) & (tokens < logits.shape[-1])
            of_tokens = logits.gather(-1, tokens.clamp(0, logits.shape[-1] - 1)).float()
            self.logits = self.logits.to(logits.device) + of_tokens.where(here, 0).squeeze(-1)
            self.sums.append(torch.stack([logits[:, at].float().logsumexp(-1) for at in range(logits.shape[1])], 1))
            before += logits.shape[-1]
            yield logits
            del logits  # else they would lie in memory while the next are made

    @property
    def log_probability(self) -> Tensor:
        return self.logits - torch.stack(self.sums).logsumexp(0)


def choose(slices: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """The best token at each position, the first of equal ones, and its lead over the second best; NaN if not finite.

    `slices` are the logits, (rows, positions, tokens) each of the tokens that follow the last one's; BLOCK divides the
    number of all but the last one's. They are many, and are read once: each block of a slice gives its greatest, and
    only that slice's best block is kept.
    """
    greatest: list[Tensor] = []
    places, winners = [], []
    for logits in slices:
        for blocks in _blocks(logits):
            most = blocks.amax(dim=-1)
            place = most.argmax(dim=-1, keepdim=True)
            winners.append(blocks.gather(-2, place[..., None].expand(*place.shape, BLOCK)).float())
            places.append(place + sum(part.shape[-1] for part in greatest))
            greatest.append(most)
        del logits, blocks  # else they would lie in memory while the next are made
    winner = torch.cat(winners, dim=-2)
    won = winner.amax(dim=-1).argmax(dim=-1, keepdim=True)
    block = torch.cat(places, dim=-1).gather(-1, won)
    winner = winner.gather(-2, won[..., None].expand(*won.shape, BLOCK)).squeeze(-2)
    place = winner.argmax(dim=-1, keepdim=True)
    best = winner.gather(-1, place)
    others = torch.cat(greatest, dim=-1).float().scatter(-1, block, -torch.inf).amax(dim=-1, keepdim=True)
    second = torch.maximum(others, winner.scatter(-1, place, -torch.inf).amax(dim=-1, keepdim=True))
    gap = (best - second).squeeze(-1)
    # Infinity would be lost among the smallest gaps, NaN is not.
    return (block * BLOCK + place).squeeze(-1), gap.where(gap.isfinite(), torch.nan)


def _blocks(logits: Tensor) -> Iterator[Tensor]:
    """Logits in blocks, (rows, positions, blocks, BLOCK); one that is not full by itself, filled up with -inf."""
    size = logits.shape[-1]
    whole = size - size % BLOCK
    if whole:
        yield logits[..., :whole].unflatten(-1, (-1, BLOCK))
    if whole < size:
        yield pad(logits[..., None, whole:], (0, whole + BLOCK - size), value=-torch.inf)
