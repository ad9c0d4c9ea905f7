"""Means, by layer, over rows whose texts recur, with their values under resamples of the texts."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from recite.outcomes.rows import NATURAL, PLANTED, Outcomes
from recite.statistics.intervals import interval, resampled

ALL, MEMORIZED, HALF, UNMEMORIZED = "all", "memorized", "half", "unmemorized"
BAGS = 4096
"""Texts that are resampled one by one; more are put together at random in so many bags, which are resampled instead."""
FEWEST = 5
"""Distinct texts that a comparison needs; a bootstrap over fewer says little."""


class Bags(NamedTuple):
    """Some rows by text, or by bag of texts where there are many.

    rows: indices into the model's rows. places: the bag of each. sizes: (bags,) rows of each. distinct: texts.
    """

    rows: np.ndarray
    places: np.ndarray
    sizes: np.ndarray
    distinct: int

    def sums(self, values: np.ndarray) -> np.ndarray:
        """What each bag adds to each column of `values` (rows of the model, columns): (bags, columns) float64."""
        chosen = values[self.rows]
        columns = [np.bincount(self.places, weights=column, minlength=len(self.sizes)) for column in chosen.T]
        return np.column_stack(columns)


def bags_of(texts: np.ndarray, rows: np.ndarray) -> Bags:
    """Put rows together by text; `texts` (rows of the model,) are hashes, so that their remainder is a random bag."""
    names = texts[rows]
    distinct = len(np.unique(names))
    if distinct > BAGS:
        names = names % BAGS
    _, places, sizes = np.unique(names, return_inverse=True, return_counts=True)
    return Bags(rows, places, sizes, distinct)


def drawn_means(bags: Bags, sums: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Means of columns, as seen and then under resamples, (1 + resamples, columns), from what each bag adds to them.

    `sums` (bags, columns). A resample draws as many bags as there are, with replacement; each brings all its rows.
    """
    together = np.column_stack([bags.sizes, sums])
    totals = np.concatenate([together.sum(axis=0)[None], resampled(together, resamples, rng)])
    return totals[:, 1:] / totals[:, :1]


def classes(hits: np.ndarray, steps: int, options: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Which rows are of each class, by their number of hits among `steps` tokens and the thresholds of `options`."""
    score = hits / steps
    return {
        ALL: np.ones(len(score), bool),
        MEMORIZED: score >= options["memorized"],
        HALF: score == options["half"],
        UNMEMORIZED: score <= options["unmemorized"],
    }


def groups_of(outcomes: Outcomes, options: Mapping[str, Any]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Natural and planted rows of each class: (rows, group, indices); empty ones are left out."""
    members = classes(outcomes.hits, outcomes.steps, options)
    for kind in (NATURAL, PLANTED):
        rows = outcomes.rows_of(kind)
        for group, of_group in members.items():
            chosen = rows[of_group[rows]]
            if len(chosen):
                yield kind, group, chosen


def layer_lines(statistics: Mapping[str, np.ndarray], confidence: float) -> Iterator[dict[str, Any]]:
    """A line per layer of statistics as seen and under resamples, each (1 + resamples, layers)."""
    for place in range(next(iter(statistics.values())).shape[1]):
        line: dict[str, Any] = {}
        for name, values in statistics.items():
            low, high = interval(values[1:, place], confidence)
            line |= {name: values[0, place], f"{name}_low": low, f"{name}_high": high}
        yield line
