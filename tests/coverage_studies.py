"""Studies of a known population, and how often the intervals of the pipeline hold what is true of it.

Six domains, three of them structural; three families of two sizes. How easily a text is recited is the text's; a model
recites it if that lies under a threshold of the model and the domain, or by an accident of the model's own. A number by
row stands for what layers measure. `corpus`: a population of documents, of which each study draws a share. `texts`:
texts without end, each of which brings the rows that bear it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.comparison.domains.summarize import structural_share
from recite.comparison.scaling.claims import common_slope
from recite.outcomes.draws import Draw
from recite.outcomes.findings import found, largest, mean
from recite.outcomes.frame import TEXTS, Frame, read_frame
from recite.outcomes.means import bags_of
from recite.outcomes.rates import share_of
from recite.outcomes.replicates import resampled, together
from recite.outcomes.rows import Outcomes
from recite.statistics.intervals import interval
from recite.statistics.resampling import correlation_of_rates

DOMAINS = {f"s{place}": "structural" for place in range(3)} | {f"f{place}": "free_text" for place in range(3)}
MODELS = {f"{family}-{size}": (family, 10**size) for family in "abc" for size in (6, 7)}
STEPS = 4
EASE = {"s0": 0.4, "s1": 0.2, "s2": 0.1, "f0": 0.15, "f1": 0.05, "f2": 0.02}
"""Share of a domain's texts that a large model recites."""
FAMILIES = {
    "a": dict.fromkeys(DOMAINS, 1.0),
    "b": {"s0": 0.5, "s1": 2.0, "s2": 1.0, "f0": 0.7, "f1": 2.0, "f2": 3.0},
    "c": {"s0": 1.2, "s1": 0.8, "s2": 2.0, "f0": 1.5, "f1": 1.0, "f2": 1.0},
}
"""How much more than that, or less, the family does."""
ACCIDENT = 0.2
"""Share of texts that a model recites, or not, by an accident of its own."""
COPIES = 0.6
"""Geometric parameter of the rows that bear one text."""
ENDLESS = 400_000
"""Texts that stand for a population without end."""


class Population(NamedTuple):
    """Units by domain: names (units,), rows of each, and for each model hits (units,) and a number (units,)."""

    names: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    hits: dict[str, dict[str, np.ndarray]]
    numbers: dict[str, dict[str, np.ndarray]]


def population(units: int, copies: bool, rng: np.random.Generator) -> Population:
    """So many units of every domain."""
    made = Population({}, {}, {name: {} for name in MODELS}, {name: {} for name in MODELS})
    for domain in DOMAINS:
        made.names[domain] = rng.integers(1, 2**62, units, dtype=np.uint64)
        made.rows[domain] = rng.geometric(COPIES, units) if copies else np.ones(units, int)
        # What is borne by more rows is recited more easily.
        ease = rng.random(units) ** (1 + 0.2 * (made.rows[domain] - 1))
        for name, (family, parameters) in MODELS.items():
            own = rng.random(units)
            threshold = EASE[domain] * FAMILIES[family][domain] * (1 if parameters > 10**6 else 0.5)
            recited = np.where(rng.random(units) < ACCIDENT, own, ease) < threshold
            made.hits[name][domain] = np.where(recited, STEPS, np.where(own < 0.5, 0, 1))
            made.numbers[name][domain] = np.where(recited, 1.3, 1.0) + rng.gamma(2.0, 0.3, units)
    return made


def studied(drawn: Population, chosen: Mapping[str, np.ndarray], share: float, estimand: str) -> dict[str, Any]:
    """What the pipeline reads of some units of every domain: a frame, and hits and numbers of every model by row."""
    names = {domain: np.repeat(drawn.names[domain][at], drawn.rows[domain][at]) for domain, at in chosen.items()}
    texts = np.concatenate(list(names.values()))
    rows = pa.table(
        {
            "row_id": np.concatenate([_rows_of(part) for part in names.values()]),
            "sequence_id": texts,
            "domain": pa.array(np.repeat(list(names), [len(part) for part in names.values()])).dictionary_encode(),
            "inclusion_probability": np.full(len(texts), share),
        }
    )
    options = {"corpora": {"m": "c"}, "kinds": {"c": DOMAINS}, "estimand": estimand}
    order, frame = read_frame(rows, "m", options)

    def by_row(values: Mapping[str, np.ndarray]) -> np.ndarray:
        parts = [np.repeat(values[domain][at], drawn.rows[domain][at]) for domain, at in chosen.items()]
        return np.asarray(np.concatenate(parts)[order])

    hits = {name: by_row(drawn.hits[name]) for name in MODELS}
    return {"frame": frame, "hits": hits, "numbers": {name: by_row(drawn.numbers[name]) for name in MODELS}}


def _rows_of(texts: np.ndarray) -> np.ndarray:
    """An id for each row of some texts, whose rows stand together; that of a text's first row is the text's."""
    first = np.append(True, texts[1:] != texts[:-1])
    starts = np.maximum.accumulate(np.where(first, np.arange(len(texts)), 0))
    ids: np.ndarray = texts * np.uint64(4) + np.uint64(2**20) * (np.arange(len(texts)) - starts).astype(np.uint64)
    return ids


def statistics(study: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[tuple[str, float, float, float]]:
    """Name, value and interval of every statistic of a study."""
    frame: Frame = study["frame"]
    rows, level = np.arange(len(frame.row_ids)), options["confidence"]
    models = {
        name: Outcomes(name, family, parameters, 0, 0.0, STEPS, frame, rows, study["hits"][name], rows < 0)
        for name, (family, parameters) in MODELS.items()
    }
    big, other = models["a-7"], models["b-7"]
    for name, part in (("rate of a domain", rows[frame.starts["s2"]]), ("rate of all domains", rows)):
        line = share_of(frame, part, big.memorized(options)[part], options, "rate")
        yield name, line["rate"], line["rate_low"], line["rate_high"]
    read = {name: resampled(outcomes, options) for name, outcomes in models.items()}
    draws = [
        Draw(name, *MODELS[name], ("",), together([*one.domains.values()]).rate[:, None]) for name, one in read.items()
    ]
    slope = found(draws, common_slope, level)
    assert slope is not None
    yield "slope by size, three families", slope.value, slope.low, slope.high
    several = found(largest(draws), mean, level)
    assert several is not None
    yield "rate, mean of three models", several.value, several.low, several.high
    share = structural_share(read["a-7"])
    assert share is not None
    yield "structural share", float(share[0]), *interval(share[1:], level)
    profiles = [np.column_stack([drawn.rate for drawn in read[one.model].domains.values()]) for one in (big, other)]
    alike = correlation_of_rates(*profiles)
    yield "similarity of two profiles", float(alike[0]), *interval(alike[1:], level)
    numbers = study["numbers"]["a-7"][:, None]
    means = []
    for of_class in (big.memorized(options), ~big.memorized(options)):
        bags = bags_of(frame, rows[of_class], options)
        means.append(bags.means(bags.sums(numbers))[:, 0])
    apart = means[0] - means[1]
    yield "difference of two classes", float(apart[0]), *interval(apart[1:], level)


def coverage(estimand: str, units: int, share: float, studies: int, resamples: int = 500) -> dict[str, float]:
    """Statistic -> how often, in so many studies of `units` units a domain, its 95% interval holds the truth."""
    rng = np.random.default_rng([units, studies, estimand == TEXTS])
    options = {"memorized": 1.0, "unmemorized": 0.0, "confidence": 0.95, "resamples": resamples}
    endless = estimand == TEXTS
    whole = population(ENDLESS if endless else round(units / share), endless, rng)
    everything = {domain: np.arange(len(names)) for domain, names in whole.names.items()}
    census = statistics(studied(whole, everything, 1.0, "corpus"), options | {"seed": 0, "resamples": 1})
    true = {name: value for name, value, *_ in census}
    held = dict.fromkeys(true, 0)
    for seed in range(studies):
        chosen = {
            domain: np.sort(rng.choice(len(names), units, replace=False)) for domain, names in whole.names.items()
        }
        study = studied(whole, chosen, share, estimand)
        for name, _, low, high in statistics(study, options | {"seed": seed}):
            held[name] += low <= true[name] <= high
    return {name: count / studies for name, count in held.items()}
