"""Claims on domains.

The paper: models of different families memorize alike across domains, and structural text more than free text.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from recite.files import hash64
from recite.outcomes.draws import Draw
from recite.outcomes.findings import Finding, Measured, Statistics, found, largest, mean_of_largest, nothing
from recite.statistics.resampling import correlation_of_rates
from recite.statistics.tests import correlation, permutation_p_value

FEWEST_SHARED = 6
"""Classes of text that two families' corpora must have in common."""
PERMUTATIONS = 1999


def domain_pattern(measured: Measured) -> Finding | None:
    """Mean correlation of rates by class of text; chance is that of classes permuted within each family."""
    chosen = _paired(largest(measured.of("class_rates")))
    if not chosen:
        return None
    p_value = permutation_p_value(permuted(chosen))
    return found(chosen, pattern, measured.confidence, alone=nothing, p_value=p_value)


def _shared(a: Draw, b: Draw) -> list[str]:
    """The classes that two models have in common."""
    return [name for name in a.labels if name in b.labels]


def _pairs(draws: Sequence[Draw]) -> list[tuple[Draw, Draw]]:
    """The pairs of families that share enough classes."""
    return [(a, b) for a, b in combinations(draws, 2) if a.family != b.family and len(_shared(a, b)) >= FEWEST_SHARED]


def _paired(draws: Sequence[Draw]) -> list[Draw]:
    """The models that are in a pair."""
    names = {draw.model for pair in _pairs(draws) for draw in pair}
    return [draw for draw in draws if draw.model in names]


def pattern(draws: Sequence[Draw], alike: Callable[..., np.ndarray] = correlation_of_rates) -> np.ndarray:
    """Mean correlation of the pairs, (1 + resamples,); NaN without a pair, or where all of them have a flat side."""
    found_pairs = [alike(*(_rates(one, _shared(a, b)) for one in (a, b))) for a, b in _pairs(draws)]
    defined = [values for values in found_pairs if not np.isnan(values[0])]
    if not defined:
        return np.full(len(draws[0].values), np.nan)
    return np.asarray(np.nanmean(defined, axis=0))


def _rates(draw: Draw, names: Sequence[str]) -> np.ndarray:
    """Rates of some classes, (1 + resamples, classes)."""
    return draw.values[:, [draw.labels.index(name) for name in names]]


def permuted(draws: Sequence[Draw]) -> np.ndarray:
    """The plain correlation as seen, then with every family's classes permuted: (1 + PERMUTATIONS,)."""
    rng = np.random.default_rng(hash64("classes", *(draw.model for draw in draws)))
    mixed = []
    for draw in draws:
        orders = [np.arange(len(draw.labels)), *(rng.permutation(len(draw.labels)) for _ in range(PERMUTATIONS))]
        mixed.append(draw._replace(values=draw.values[0][np.array(orders)]))
    return pattern(mixed, correlation)


def structural_dominance(measured: Measured) -> Finding | None:
    return mean_of_largest(measured, "structural_share")


STATISTICS: Statistics = {
    "domain_pattern": domain_pattern,
    "structural_dominance": structural_dominance,
}
