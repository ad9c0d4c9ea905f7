"""Studies of heads by looks, replayed on rows that are known in full: what is found of the fifth, and what it takes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from recite.outcomes.frame import Frame
from recite.stages.heads.ablated import Ablated, Group
from recite.stages.heads.first import count_of
from recite.stages.heads.places import FIFTH, TIE, look

DOMAIN = "code"


class Replay(NamedTuple):
    """recall: share of the fifth by all rows that is in the fifth by the rows that each head has. rows: (heads,)."""

    recall: float
    rows: np.ndarray


def replay(
    hits: np.ndarray | None, log_probability: np.ndarray, looks: Sequence[int], units: np.ndarray | None = None
) -> Replay:
    """One domain's rows, (rows, heads), in the order in which they are run; without hits, of unmemorized ones."""
    most, heads = log_probability.shape
    lost = np.zeros_like(log_probability) if hits is None else hits
    probability, going, rows = np.full(heads, 0.5), np.ones(heads, bool), np.zeros(heads, int)
    for count in [*looks, most]:
        rows[going] = count
        if count < most:
            group = _group(lost[:count], log_probability[:count], most, hits is None, units)
            look(group, DOMAIN, len(looks), probability, going)
    drops = lost + TIE * log_probability if hits is not None else log_probability
    known = np.array([drops[:count, head].mean() for head, count in enumerate(rows)])
    led = drops[:, rows == rows.max()].mean(axis=1)
    known -= np.array([led[:count].mean() for count in rows])
    k = count_of(FIFTH, heads)
    found, true = (set(np.argsort(-means, kind="stable")[:k]) for means in (known, drops.mean(axis=0)))
    return Replay(len(found & true) / k, rows)


def _group(
    hits: np.ndarray, log_probability: np.ndarray, most: int, unmemorized: bool, units: np.ndarray | None
) -> Group:
    """Rows of one domain that were run without every head."""
    count, heads = hits.shape
    names = np.arange(count) if units is None else units[:count]
    part = slice(0, count)
    frame = Frame("texts", {DOMAIN: "structural"}, {DOMAIN: part}, np.arange(count), names, names, {DOMAIN: 0.0}, {})
    measured = np.ones((count, heads), bool)
    read = Ablated("m", "f", 1, (1, heads), 1, frame, measured, hits, log_probability, log_probability)
    name = "unmemorized" if unmemorized else "memorized"
    return Group(name, read, np.zeros(count, int), {DOMAIN: np.ones(heads, int)}, {DOMAIN: most})


class Simulated(NamedTuple):
    """drops: (rows, heads). effects: (heads,), what they scatter about."""

    drops: np.ndarray
    effects: np.ndarray


def many_heads(rows: np.ndarray, heads: int, count: int, effect: float, rng: np.random.Generator) -> Simulated:
    """A study of `count` rows and so many heads with the variances of some rows, (rows, heads), and their effects.

    Each head's mean and scatter are mixed from three of those heads', and its effect is shrunk; it scatters once more
    by itself, as much as it does together with others.
    """
    share = rng.dirichlet(np.full(3, 0.5), heads)
    chosen = rng.integers(0, rows.shape[1], (heads, 3))
    mixed = np.sum([rows[:, chosen[:, part]] * share[:, part] for part in range(3)], axis=0)
    mean = mixed.mean(axis=0)
    scatter = mixed - mean
    drawn = scatter[rng.integers(0, len(rows), count)] + rng.normal(0, 1, (count, heads)) * scatter.std(axis=0)
    return Simulated(effect * mean + drawn, effect * mean)


def held(study: Simulated, rows: np.ndarray, looks: int, confidence: float) -> np.ndarray:
    """Whether intervals hold the heads' effects, (heads,); of heads that were left those of repeated looks.

    Of the drops beside the heads that have most rows, by the variance of what each row adds.
    """
    most = rows.max()
    led = study.drops[:most, rows == most].mean(axis=1)
    found = []
    for head in range(len(rows)):
        misses = (1 - confidence) / (looks + 1 if rows[head] < len(study.drops) else 1)
        beside = study.drops[: rows[head], head] - led[: rows[head]]
        added = led - led.mean()
        added[: rows[head]] += (beside - beside.mean()) * most / rows[head]
        error = np.sqrt((added**2).sum()) / most
        found.append(abs(beside.mean() + led.mean() - study.effects[head]) < stats.norm.ppf(1 - misses / 2) * error)
    return np.array(found, bool)
