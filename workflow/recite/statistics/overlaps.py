"""How far two sets of the foremost of some numbered things are the same, and by chance."""

import numpy as np
from scipy import stats


def jaccard(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Jaccard index of sets given as bool over the last axis."""
    return np.asarray((a & b).sum(axis=-1) / (a | b).sum(axis=-1))


def pair_chance(things: int, k: int, confidence: float) -> dict[str, float]:
    """Jaccard index of two random sets of `k` of so many things: its mean, and the interval that holds it.

    The sets share a hypergeometric number i, and the index is i / (2 k - i).
    """
    shared = np.arange(k + 1)
    chance = stats.hypergeom(things, k, k)
    mean = float((chance.pmf(shared) * shared / (2 * k - shared)).sum())
    low, high = (float(chance.ppf(p)) for p in ((1 - confidence) / 2, (1 + confidence) / 2))
    return {"chance": mean, "chance_low": low / (2 * k - low), "chance_high": high / (2 * k - high)}
