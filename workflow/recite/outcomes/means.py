"""Means over classes of rows, by layer or otherwise, with their values under resamples of what was sampled."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from recite.files import hash64
from recite.outcomes.frame import NATURAL, PLANTED, Frame
from recite.outcomes.rows import Outcomes
from recite.statistics.intervals import with_ends
from recite.statistics.resampling import Sampled, bag_of

ALL, MEMORIZED, HALF, UNMEMORIZED = "all", "memorized", "half", "unmemorized"
FEWEST = 5
"""Distinct texts that a comparison needs; a bootstrap over fewer says little."""


class Bags(NamedTuple):
    """Some rows by bag of sampled units, domain by domain.

    rows: indices into the model's rows, ascending. places: the bag of each, from 0 through all domains. distinct:
    texts. strata: the bags of each domain.
    """

    rows: np.ndarray
    places: np.ndarray
    distinct: int
    strata: tuple[Sampled, ...]

    @property
    def bags(self) -> int:
        """Bags that hold a row."""
        return sum(len(stratum.bags) for stratum in self.strata)

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each bag, (bags,)."""
        return np.bincount(self.places, minlength=self.bags)

    @property
    def weights(self) -> np.ndarray:
        """How often each bag counts: as seen, then in every resample, (1 + resamples, bags)."""
        return np.concatenate([stratum.effective_weights() for stratum in self.strata], axis=1)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """What each bag adds to each column of `values` (rows of the model, columns): (bags, columns) float64."""
        chosen = values[self.rows]
        columns = [np.bincount(self.places, weights=column, minlength=self.bags) for column in chosen.T]
        return np.column_stack(columns)

    def totals(self, sums: np.ndarray) -> np.ndarray:
        """Totals as seen and under resamples, (1 + resamples, columns), of what each bag adds, (bags, columns)."""
        edges = np.cumsum([len(stratum.bags) for stratum in self.strata])[:-1]
        parts = np.split(sums, edges)
        return np.sum([stratum.totals(part) for stratum, part in zip(self.strata, parts, strict=True)], axis=0)

    def means(self, sums: np.ndarray) -> np.ndarray:
        """Means over rows of the same; NaN in a resample that has none of the rows."""
        totals = self.totals(np.column_stack([self.sizes, sums]))
        rows = totals[:, :1]
        return np.divide(totals[:, 1:], rows, out=np.full(totals[:, 1:].shape, np.nan), where=rows > 0)


def bags_of(frame: Frame, rows: np.ndarray, options: Mapping[str, Any]) -> Bags:
    """Put rows, ascending indices, together by what was sampled; `options` hold `seed` and `resamples`.

    Resamples of a domain are the same for all models of a corpus, all classes and all tables.
    """
    places, strata, count = np.zeros(len(rows), np.int64), [], 0
    for domain, own in frame.domains_of(rows):
        bags, found = np.unique(bag_of(frame.units[rows[own]]), return_inverse=True)
        places[own] = count + found
        count += len(bags)
        key = hash64(options["seed"], "resample", frame.corpus, domain)
        strata.append(Sampled(bags, key, frame.fractions[domain], options["resamples"], frame.bags.get(domain)))
    return Bags(rows, places, len(np.unique(frame.texts[rows])), tuple(strata))


class Totals(NamedTuple):
    """Of rows that others stand for: how many, (1 + resamples, 1), and their totals, (1 + resamples, columns)."""

    rows: np.ndarray
    sums: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """(1 + resamples, columns); NaN without rows."""
        empty = np.full(self.sums.shape, np.nan)
        return np.divide(self.sums, self.rows, out=empty, where=self.rows > 0)


def totals(frame: Frame, rows: np.ndarray, known: np.ndarray, values: np.ndarray, options: Mapping[str, Any]) -> Totals:
    """Totals of `values`, (known rows, columns), over all of some rows, of which only some are `known`.

    `rows` and `known` are indices, ascending; known rows that are not among `rows` are passed over. In every domain the
    known ones stand for all, and are a smaller sample of its documents; domains of which none is known, or none is in a
    resample, are left out, of that resample.
    """
    count = np.zeros((1 + options["resamples"], 1))
    sums = np.zeros((1 + options["resamples"], values.shape[1]))
    for domain, own in frame.domains_of(rows):
        stratum = rows[own]
        here = np.isin(known, stratum)
        if not here.any():
            continue
        chosen = np.zeros(len(frame.row_ids), bool)
        chosen[known[here]] = True
        part = frame.part(chosen)
        share = here.sum() / len(stratum)
        part = part._replace(fractions={domain: frame.fractions[domain] * share}, bags=frame.bags)
        whole, drawn = bags_of(frame, stratum, options), bags_of(part, np.arange(here.sum()), options)
        means = drawn.means(drawn.sums(values[here]))
        size = np.where(np.isnan(means[:, :1]), 0, whole.totals(whole.sizes[:, None]))
        count += size
        sums += size * np.nan_to_num(means)
    return Totals(count, sums)


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
        rows = outcomes.frame.rows_of(kind)
        for group, of_group in members.items():
            chosen = rows[of_group[rows]]
            if len(chosen):
                yield kind, group, chosen


def layer_lines(statistics: Mapping[str, np.ndarray], confidence: float) -> Iterator[dict[str, Any]]:
    """A line per layer of statistics as seen and under resamples, each (1 + resamples, layers)."""
    for place in range(next(iter(statistics.values())).shape[1]):
        line: dict[str, Any] = {}
        for name, values in statistics.items():
            line |= with_ends(name, values[:, place], confidence)
        yield line
