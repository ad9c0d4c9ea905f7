"""A bootstrap whose resamples are the same whatever is computed from them: by which models, tables or statistics.

Units fall into bags by their names, which are hashes, and every bag of a domain counts w times in a resample, w a
Poisson number of mean 1 that follows from the domain's key alone (the Poisson bootstrap: Hanley & MacGibbon 2006).
Where all units of the domain's sample are known, w is scaled so that each resample has as many: domains are strata.
Where the sample is a share f of all units, a total is T + sqrt(1 - f) (sum of w x - T): the rescaled bootstrap of
finite populations (Rao & Wu 1988). Statistics are ratios of totals.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from recite.statistics.intervals import ROUNDING

BAGS = 4096
"""Bags of a domain; a sample of fewer units has mostly one unit a bag."""
_LEVELS = 2**16
_KEPT = 16
"""Domains whose weights are kept, 8 MB each at 2,000 resamples."""


def bag_of(units: np.ndarray) -> np.ndarray:
    """The bag of each unit by its name, a hash (units,) uint64."""
    return (units % np.uint64(BAGS)).astype(np.int64)


@lru_cache(maxsize=_KEPT)
def bag_weights(key: int, resamples: int) -> np.ndarray:
    """How often every bag counts in every resample: (resamples, BAGS) uint8."""
    rng = np.random.default_rng(key)
    return _poisson()[rng.integers(0, _LEVELS, (resamples, BAGS), dtype=np.uint16)]


class Sampled(NamedTuple):
    """Some bags of a domain's sample.

    bags: their numbers. key: of the domain's weights. fraction: share of all units that was sampled. units: (BAGS,)
    units of the whole sample by bag; None where not all of it is known.
    """

    bags: np.ndarray
    key: int
    fraction: float
    resamples: int
    units: np.ndarray | None

    @property
    def stretch(self) -> float:
        """What a deviation counts for, as the sample is not all: 1 of an endless population, 0 of a census."""
        return float(np.sqrt(1 - self.fraction))

    def weights(self) -> np.ndarray:
        """How often each bag counts in every resample, whatever the fraction: (resamples, bags).

        A resample that has no unit of the sample counts as what was seen.
        """
        drawn = bag_weights(self.key, self.resamples)
        weights = drawn[:, self.bags].astype(float)
        if self.units is not None:
            filled = np.flatnonzero(self.units)
            found = drawn[:, filled].astype(float) @ self.units[filled]
            scale = np.divide(self.units.sum(), found, out=np.zeros(self.resamples), where=found > 0)
            weights *= scale[:, None]
            weights[found == 0] = 1
        return weights

    def effective_weights(self) -> np.ndarray:
        """Ones first, as seen, then the weights of every resample with the fraction: (1 + resamples, bags)."""
        return np.concatenate([np.ones((1, len(self.bags))), 1 + self.stretch * (self.weights() - 1)])

    def totals(self, sums: np.ndarray) -> np.ndarray:
        """Totals as seen and then under resamples, (1 + resamples, columns), of what each bag adds, (bags, columns)."""
        seen = sums.sum(axis=0, dtype=float)
        if not self.stretch:
            return np.tile(seen, (1 + self.resamples, 1))
        return np.concatenate([seen[None], seen + self.stretch * (self.weights() @ sums - seen)])


@lru_cache(maxsize=1)
def _poisson() -> np.ndarray:
    """Poisson numbers of mean 1 by equally likely levels: (_LEVELS,) uint8."""
    return stats.poisson.ppf((np.arange(_LEVELS) + 0.5) / _LEVELS, 1).astype(np.uint8)


def correlation_of_rates(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation of two profiles, (1 + resamples, n), without what sampling adds to their variances: (1 +
    resamples,).

    Noise lowers a correlation, and errors that go together raise it. Their covariances, as the resamples show them, are
    taken off (Spearman 1904): once from what was seen, twice from resamples, which add as much again. NaN where no more
    variance is left; at most 1.
    """
    a, b = (values - values.mean(axis=-1, keepdims=True) for values in (first, second))
    noise_a, noise_b = (values[1:] - values[1:].mean(axis=0) for values in (a, b))
    times = np.concatenate([[1.0], np.full(len(a) - 1, 2.0)])
    noises = ((x * y).mean(axis=0).sum() for x, y in ((noise_a, noise_a), (noise_b, noise_b), (noise_a, noise_b)))
    sums = ((x * y).sum(axis=-1) for x, y in ((a, a), (b, b), (a, b)))
    of_a, of_b, together = (total - times * noise for total, noise in zip(sums, noises, strict=True))
    varies = (of_a > ROUNDING**2) & (of_b > ROUNDING**2)
    scale = np.sqrt(np.where(varies, of_a * of_b, 1.0))
    return np.where(varies, np.clip(together / scale, -1, 1), np.nan)
