"""Claims on decoding.

The paper: models of all families share one process, early routing and late activation: the true token's probability
rises late and passes 0.5 before the last layer. Any two rising curves correlate, so what is compared is where they
rise, by two thresholds, and where memorized rows part from unmemorized ones.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from recite.outcomes.draws import Draw
from recite.outcomes.findings import Finding, Measured, Statistics, found, largest, nothing
from recite.stages.lens.profiles import alike


def shared_decoding(measured: Measured) -> Finding | None:
    """How far apart two families' memorized rows rise, in relative depth, by the threshold that tells them further
    apart.
    """
    chosen = largest(measured.of("depths"))
    return found(chosen, apart, measured.confidence, alone=nothing) if len(chosen) > 1 else None


def apart(draws: Sequence[Draw]) -> np.ndarray:
    """The larger over both thresholds of the mean distance between two models' depths."""
    pairs = combinations(draws, 2)
    distances: np.ndarray = np.mean([np.abs(a.values - b.values) for a, b in pairs], axis=0)
    return np.asarray(distances.max(axis=1))


def shared_parting(measured: Measured) -> Finding | None:
    """Mean correlation between families of the profile memorized less unmemorized."""
    chosen = largest(measured.of("parting"))
    return found(chosen, similarity, measured.confidence, alone=nothing) if len(chosen) > 1 else None


def similarity(draws: Sequence[Draw]) -> np.ndarray:
    """Mean correlation of two models' profiles over relative depth."""
    depths = {draw.model: np.array(draw.labels, float) for draw in draws}
    pairs = [alike(depths[a.model], a.values, depths[b.model], b.values) for a, b in combinations(draws, 2)]
    return np.asarray(np.mean(pairs, axis=0))


STATISTICS: Statistics = {
    "shared_decoding": shared_decoding,
    "shared_parting": shared_parting,
}
