"""Sets of neurons: the foremost of a row or of a class, and random ones that lie in the same layers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recite.files import hash64
from recite.stages.neurons.rows import ATTRIBUTION, CLASS, OWN, RANDOM

Set = np.ndarray
"""Numbers of some neurons, which stand side by side by layer."""


def halves_of(texts: Sequence[int] | np.ndarray, carriers: np.ndarray, seed: int) -> np.ndarray:
    """The half of each row's text, (rows,) 0 or 1, by the hash of (seed, text).

    The `carriers`' texts, (rows,) bool, fall into the halves in turn: as many into either, but for one where they are
    odd. Rows of equal text are of one half.
    """
    hashes = np.array([hash64(seed, "half of neurons", text) for text in texts], np.uint64)
    return np.searchsorted(np.unique(hashes[carriers]), hashes) % 2


class Ranked(NamedTuple):
    """The foremost neurons, the first the foremost; neurons are numbered through all layers.

    own: by what -> (rows, most), of each row. of_class: by what -> (2, most), of each half of the carriers' texts.
    values: (2, most) float32, the means by which the class is ranked by attribution.
    """

    own: dict[str, np.ndarray]
    of_class: dict[str, np.ndarray]
    values: np.ndarray


class Ranking:
    """Takes in rows, and ranks their neurons: each row's, and the means of the carriers of each half.

    halves: (rows,) 0 or 1. carriers: (rows,) bool.
    """

    def __init__(self, halves: np.ndarray, carriers: np.ndarray, most: int) -> None:
        self.halves, self.carriers, self.most = halves, carriers, most
        self.own: dict[str, list[np.ndarray]] = {}
        self.sums: dict[str, Tensor] = {}

    def add(self, rows: slice, by: str, values: Tensor) -> None:
        """Values of all neurons of some rows, which come in order: (rows, neurons)."""
        self.own.setdefault(by, []).append(values.topk(self.most, dim=1).indices.cpu().numpy())
        sums = self.sums.setdefault(by, torch.zeros(2, values.shape[1], dtype=torch.float64))
        for half in (0, 1):
            members = (self.halves[rows] == half) & self.carriers[rows]
            sums[half] += values[torch.from_numpy(members).to(values.device)].double().sum(dim=0).cpu()

    def ranked(self) -> Ranked:
        """What was taken in."""
        counts = np.bincount(self.halves[self.carriers], minlength=2)
        means = {by: sums / torch.from_numpy(counts)[:, None] for by, sums in self.sums.items()}
        foremost = {by: mean.topk(self.most, dim=1) for by, mean in means.items()}
        return Ranked(
            {by: np.concatenate(parts) for by, parts in self.own.items()},
            {by: found.indices.numpy() for by, found in foremost.items()},
            foremost[ATTRIBUTION].values.float().numpy(),
        )


def sets_of(
    ranked: Ranked,
    rankings: Sequence[str],
    ladder: Sequence[int],
    layers: Sequence[int],
    texts: Sequence[int] | np.ndarray,
    halves: np.ndarray,
    seed: int,
) -> Iterator[list[Set]]:
    """Each row's sets, by ranking and then by size: `layers` are the neurons of each, `halves` (rows,) 0 or 1.

    A row is given the class's neurons that the other half of the texts ranks: its own text had no part in it.
    """
    for row, text in enumerate(texts):
        foremost = {f"{OWN}_{by}": found[row] for by, found in ranked.own.items()}
        foremost |= {f"{CLASS}_{by}": found[1 - halves[row]] for by, found in ranked.of_class.items()}
        drawn = [shuffled(count, seed, text, layer) for layer, count in enumerate(layers)]
        sets: list[Set] = []
        for ranking in rankings:
            name, _, last = ranking.rpartition("_")
            if last == RANDOM:
                numbers = foremost[name if name in foremost else f"{name}_{ATTRIBUTION}"]
                sets += [alike(numbers[:k], drawn, layers) for k in ladder]
            else:
                sets += [foremost[ranking][:k] for k in ladder]
        yield sets


def shuffled(count: int, seed: int, text: int, layer: int) -> Set:
    """The neurons of a layer in a random order, which text and layer decide."""
    generator = torch.Generator().manual_seed(hash64(seed, "random neurons", text, layer) % 2**63)
    return torch.randperm(count, generator=generator).numpy()


def alike(numbers: Set, drawn: Sequence[Set], layers: Sequence[int]) -> Set:
    """As many neurons of each layer as a set has, the first that are `drawn` there."""
    starts = np.cumsum([0, *layers])
    counts = np.bincount(np.searchsorted(starts, numbers, side="right") - 1, minlength=len(layers))
    parts = [start + order[:count] for start, order, count in zip(starts, drawn, counts, strict=False)]
    return np.concatenate(parts)


def layers_of(numbers: np.ndarray, layers: Sequence[int]) -> Mapping[str, np.ndarray]:
    """The layer of each of some numbers, and its number within the layer; both of their shape."""
    starts = np.cumsum([0, *layers])
    layer = np.searchsorted(starts, numbers, side="right") - 1
    return {"layer": layer.astype(np.uint16), "neuron": (numbers - starts[layer]).astype(np.uint32)}
