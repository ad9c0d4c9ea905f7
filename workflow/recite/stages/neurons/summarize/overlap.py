"""How far two rows have the same foremost neurons: of one domain, of different ones, recited or not; beside chance."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from recite.outcomes.frame import NATURAL
from recite.outcomes.means import MEMORIZED, UNMEMORIZED, Bags, bags_of
from recite.outcomes.rates import Line
from recite.stages.neurons.rows import CLASS_NEURONS
from recite.stages.neurons.summarize.reading import Group, Read, counted
from recite.statistics.intervals import with_ends
from recite.statistics.overlaps import pair_chance


def overlap_lines(one: Read, class_neurons: Path, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of one model, of its natural rows; comparisons without a pair are left out."""
    if MEMORIZED not in one.groups:
        return
    memorized, others = one.groups[MEMORIZED], one.groups.get(UNMEMORIZED)
    k = memorized.top.shape[1]
    about = one.who | {"k": k, "neurons": sum(one.layers)} | pair_chance(sum(one.layers), k, options["confidence"])
    bags = bags_of(memorized.frame, memorized.frame.rows_of(NATURAL), options)
    alike, apart = paired(memorized, bags, memorized, bags)
    place = np.repeat(np.arange(len(bags.strata)), [len(part.bags) for part in bags.strata])[bags.places]
    same = place[:, None] == place[None]
    pairs = {"within_domain": (bags, apart & same, alike), "across_domains": (bags, apart & ~same, alike)}
    if others is not None:
        of_others = bags_of(others.frame, others.frame.rows_of(NATURAL), options)
        alike, apart = paired(memorized, bags, others, of_others)
        pairs["with_unmemorized"] = (of_others, apart, alike)
    rows = counted(memorized, bags.rows)
    for name, (second, chosen, overlaps) in pairs.items():
        if chosen.any():
            found = mean_of_pairs(bags, second, chosen, overlaps)
            yield about | {"comparison": name} | rows | with_ends("overlap", found, options["confidence"])
    table = CLASS_NEURONS.read(class_neurons).to_pandas()
    sets = [set(zip(part["layer"][:k], part["neuron"][:k], strict=True)) for _, part in table.groupby("half")]
    halves = {"overlap": len(sets[0] & sets[1]) / len(sets[0] | sets[1]), "overlap_low": np.nan, "overlap_high": np.nan}
    yield about | {"comparison": "halves"} | counted(memorized, np.arange(len(memorized.top))) | halves


def paired(one: Group, bags: Bags, other: Group, of_other: Bags) -> tuple[np.ndarray, np.ndarray]:
    """Of every pair of rows, one of each: Jaccard index of their foremost neurons, and whether their texts differ."""
    tops = one.top[bags.rows], other.top[of_other.rows]
    neurons, k = max((int(top.max()) for top in tops if top.size), default=0) + 1, one.top.shape[1]
    first, second = (
        csr_array((np.ones(top.size), top.ravel(), np.arange(len(top) + 1) * k), shape=(len(top), neurons))
        for top in tops
    )
    shared = (first @ second.T).toarray()
    texts = one.frame.texts[bags.rows], other.frame.texts[of_other.rows]
    return shared / (2 * k - shared), texts[0][:, None] != texts[1][None]


def mean_of_pairs(bags: Bags, others: Bags, chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of `values` over the `chosen` pairs, (rows, others) both, as seen and under resamples: (1 + resamples,).

    NaN in a resample that has no such pair.
    """
    one, other = bags.weights[:, bags.places], others.weights[:, others.places]
    totals = ((one @ (values * chosen)) * other).sum(axis=1)
    pairs = ((one @ chosen.astype(float)) * other).sum(axis=1)
    return np.divide(totals, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
