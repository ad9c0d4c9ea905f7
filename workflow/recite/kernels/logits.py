"""What is read of logits that come in slices, each looked at while it is in the caches: they are many."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 128
"""Logits of which `choose` looks at the greatest first; a divisor of `recite.kernels.packing.SLICE`."""


class Said(NamedTuple):
    """What a distribution says at each position, (rows, positions) each.

    log_probability: of the true token, nats, float32. rank: 1 + the tokens whose logit is higher, int64. entropy: of
    the distribution, nats, float32, NaN where a logit is not finite. choice: the best token, int64.
    """

    log_probability: Tensor
    rank: Tensor
    entropy: Tensor
    choice: Tensor


def say(slices: Iterable[Tensor], true: Tensor) -> Said:
    """What `slices` of logits (see `choose`) say at each position, and of its token `true`, (rows, positions).

    The logits themselves are kept until that token's is known, nothing else of their size.
    """
    kept: list[Tensor] = []
    sums: list[tuple[Tensor, Tensor, Tensor]] = []

    def seen() -> Iterator[Tensor]:
        for logits in slices:
            kept.append(logits)
            wide = logits.float()
            sums.append(_summed(wide))
            yield wide
            del wide  # else it would lie in memory while the next is made

    choice, _ = choose(seen())
    own = _of_tokens(kept, true.to(choice.device)[..., None])
    above = torch.stack([_above(logits.float(), own) for logits in kept]).sum(dim=0)
    greatest, total, below = (torch.stack(part, dim=-1).double() for part in zip(*sums, strict=True))
    logs = greatest + total
    whole = logs.logsumexp(dim=-1, keepdim=True)
    entropy = ((logs - whole).exp() * (whole - greatest - below)).sum(dim=-1)
    return Said((own.double() - whole).squeeze(-1).float(), 1 + above.long(), entropy.float(), choice)


def _summed(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of one slice, (rows, positions) each: the greatest logit; relative to it the logarithm of the sum of exponentials
    and the mean logit.
    """
    greatest = logits.amax(dim=-1, keepdim=True)
    below = logits - greatest
    shares = below.softmax(dim=-1)
    # That of the greatest is one over the sum.
    total = -shares.amax(dim=-1).log()
    return greatest.squeeze(-1), total, shares.mul_(below).sum(dim=-1)


def _above(logits: Tensor, own: Tensor) -> Tensor:
    """How many logits are higher, (rows, positions): counted as numbers of 0 and 1, faster than as truth values."""
    return torch.gt(logits, own, out=torch.empty_like(logits)).sum(dim=-1)


def _of_tokens(slices: Iterable[Tensor], tokens: Tensor) -> Tensor:
    """The logits of the `tokens`, (rows, positions, 1), float32."""
    found, start = torch.full(tokens.shape, torch.nan, device=tokens.device), 0
    for logits in slices:
        place, size = tokens - start, logits.shape[-1]
        here = logits.gather(-1, place.clamp(0, size - 1)).float()
        found = torch.where((place >= 0) & (place < size), here, found)
        start += size
    return found


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
            most = blocks.float().amax(dim=-1)  # several times as fast as that of bfloat16
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
    others = torch.cat(greatest, dim=-1).scatter(-1, block, -torch.inf).amax(dim=-1, keepdim=True)
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
