"""Rows without sets of their neurons: continued greedily, and asked for the true continuation."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.finite import at_rows
from recite.engine.interventions.sublayers import NeuronReplacement
from recite.engine.passes import BLOCK_BATCHES
from recite.engine.scores import forced
from recite.progress import Done, unseen
from recite.stages.neurons.measure.attribution import Means
from recite.stages.neurons.measure.sets import Set


class Without(NamedTuple):
    """What rows make of their continuations without sets of neurons.

    hits: (rows, sets) int64, true tokens of the greedy continuation. log_probability: (rows, sets) float32, of the true
    continuation, nats.
    """

    hits: Tensor
    log_probability: Tensor


def without_sets(
    checkpoint: Checkpoint,
    text: Tensor,
    steps: int,
    batch_rows: int,
    sets: Iterable[Sequence[Set]],
    means: Means,
    done: Done = unseen,
) -> Without:
    """Put each set of a row's neurons, as many sets of every row, at their `means`.

    `text` (rows, prompt + steps) are int64 token ids. Pairs of a row and a set share batches of `batch_rows`, in blocks
    of a few batches; `done` is told the rows that are through.
    """
    hits, likely, pairs = [], [], 0
    block: list[Set] = []
    places: list[int] = []
    for row, own in enumerate(sets):
        pairs = len(own)
        block += own
        places += [row] * len(own)
        while len(block) >= BLOCK_BATCHES * batch_rows or (row == len(text) - 1 and block):
            size = min(len(block), BLOCK_BATCHES * batch_rows)
            chosen = torch.tensor(places[:size])
            with at_rows(chosen):
                found = _block(checkpoint, text[chosen], steps, batch_rows, block[:size], means)
            hits.append(found.hits)
            likely.append(found.log_probability)
            block, places = block[size:], places[size:]
        done(1)
    return Without(torch.cat(hits).view(len(text), pairs), torch.cat(likely).view(len(text), pairs))


def _block(
    checkpoint: Checkpoint, text: Tensor, steps: int, batch_rows: int, sets: Sequence[Set], means: Means
) -> Without:
    """The same of rows with one set each: (rows,)."""
    context, true = text[:, :-steps], text[:, -steps:]
    replacement = NeuronReplacement(checkpoint, chosen_of(sets, means, checkpoint.model.device), means)
    greedy = continue_greedily(
        checkpoint, context, steps, batch_rows, draft=true, intervention=replacement, block_batches=BLOCK_BATCHES
    )
    likely = forced(checkpoint, text, steps, batch_rows, intervention=replacement).log_probability
    return Without((greedy.tokens == true).sum(dim=1), likely)


def chosen_of(sets: Sequence[Set], means: Means, device: torch.device) -> dict[int, Tensor]:
    """Layer -> which neurons of each set are in it, (sets, neurons) bool."""
    every = torch.zeros(len(sets), sum(map(len, means.values())), dtype=torch.bool)
    for line, numbers in zip(every, sets, strict=True):
        line[torch.from_numpy(numbers)] = True
    parts = every.to(device).split([len(mean) for mean in means.values()], dim=1)
    return dict(zip(means, parts, strict=True))
