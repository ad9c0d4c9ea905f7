"""Simulated studies: what a claim's statistic is taken from, with a truth that is known."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from recite.comparison.signatures.summarize import Alike, comparison_lines, similarities
from recite.outcomes.draws import Draw
from recite.outcomes.findings import Measured
from recite.stages.frequency.thresholds import Curve, kink_gain

FAMILIES = "abcdef"
RESAMPLES = 400
CLASSES = ("code", "law", "markup", "news", "science", "web")


def source(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(values: Sequence[float] | np.ndarray, error: float, rng: np.random.Generator) -> np.ndarray:
    """Numbers as seen and under resamples, (1 + RESAMPLES, numbers), whose standard error is `error`."""
    seen = np.atleast_1d(np.asarray(values, float))
    return np.concatenate([seen[None], seen + error * rng.normal(size=(RESAMPLES, len(seen)))])


def measured(draws: Mapping[str, Sequence[Draw]], **tables: pd.DataFrame) -> Measured:
    return Measured(tables, draws, 0.95)


def one_a_family(statistic: str, values: Sequence[float], error: float = 0.01) -> Measured:
    """A number of the only model of every family."""
    rng = source()
    models = zip(FAMILIES, values, strict=False)
    return measured(
        {statistic: [Draw(f"{name}-l", name, 10**7, ("",), drawn([value], error, rng)) for name, value in models]}
    )


def by_size(
    rate: Callable[[int, float], float], error: float = 0.001, sizes: Sequence[float] = (6, 6.5, 7)
) -> Measured:
    """Rates of three sizes of every family: `rate` of the family's number and the size's log10."""
    rng = source()
    found = [
        Draw(f"{name}-{size}", name, int(10**size), ("",), drawn([rate(place, size)], error, rng))
        for place, name in enumerate(FAMILIES)
        for size in sizes
    ]
    return measured({"natural_rate": found})


def at_one_size(rates: Mapping[str, tuple[float, float]], n: int = 1000) -> Measured:
    """A model of every family: log10 of its size, and its rate on so many rows."""
    rng = source()
    found, lines = [], []
    for name, (size, rate) in rates.items():
        error = float(np.sqrt(rate * (1 - rate) / n))
        values = np.clip(drawn([rate], error, rng), 0, 1)
        found.append(Draw(f"{name}-l", name, int(10**size), ("",), values))
        reach = 2 * error or 0.004
        line = {"model": f"{name}-l", "domain": "natural", "n": n, "rate": rate}
        lines.append(line | {"rate_low": max(0.0, rate - reach), "rate_high": rate + reach})
    return measured({"natural_rate": found}, rates=pd.DataFrame(lines))


def by_count(logit: Callable[[np.ndarray], np.ndarray], rows: int = 4000, seed: int = 1) -> Measured:
    """Rows of every family's model by log2 of a count, on which `logit` of being recited hangs."""
    rng = source(seed)
    place = np.arange(8.0)
    n = np.round(rows * 0.5 ** (place + 1))
    found = []
    for name in FAMILIES:
        k = rng.binomial(n.astype(int), 1 / (1 + np.exp(-logit(place))))
        again = rng.binomial(n.astype(int), k / n, (RESAMPLES, len(n)))
        curve = Curve(place, np.tile(n, (1 + RESAMPLES, 1)), np.concatenate([k[None], again]).astype(float))
        gain = kink_gain(curve)
        found.append(Draw(f"{name}-l", name, 10**7, ("",), gain[:, None]))
    return measured({"kink": found})


def by_class(profiles: np.ndarray, classes: Sequence[str] = CLASSES, error: float = 0.002) -> Measured:
    """Rates by class of text of every family's model: (families, classes)."""
    rng = source()
    models = zip(FAMILIES, profiles, strict=False)
    found = [Draw(f"{name}-l", name, 10**7, tuple(classes), drawn(rates, error, rng)) for name, rates in models]
    return measured({"class_rates": found})


def by_depth(statistic: str, profiles: np.ndarray, labels: Sequence[str], error: float = 0.005) -> Measured:
    """Numbers by depth, or by threshold, of every family's model: (families, numbers)."""
    rng = source()
    models = zip(FAMILIES, profiles, strict=False)
    found = [Draw(f"{name}-l", name, 10**7, tuple(labels), drawn(values, error, rng)) for name, values in models]
    return measured({statistic: found})


def by_family(profiles: np.ndarray, measure: str) -> Measured:
    """Profiles over depth of two sizes of every family, (families, 2, depths), compared as the study does."""
    flat = profiles.reshape(-1, profiles.shape[-1])
    whose = [
        {"model": f"{name}-{size}", "family": name, "parameters": 10**size}
        for name in FAMILIES[: len(profiles)]
        for size in (6, 7)
    ]
    similarity = similarities(flat, whose)
    families = np.repeat(np.arange(len(profiles)), 2)
    options = {"seed": 1, "resamples": 999, "confidence": 0.95}
    tests = pd.DataFrame(
        [{"measure": measure, **line} for line in comparison_lines(Alike(similarity, families), measure, options)]
    )
    pairs = [
        {"measure": measure, "similarity": similarity[i, j]}
        | {f"{key}_{side}": whose[k][key] for side, k in (("a", i), ("b", j)) for key in ("model", "family")}
        for i in range(len(whose))
        for j in range(i + 1, len(whose))
    ]
    return measured({}, signature_tests=tests, signature_pairs=pd.DataFrame(pairs))
