"""recite.stages.trajectory.recency: pairs by brute force, and planted truths that it must find."""

import math

import numpy as np
import pytest

from recite.outcomes.frame import Frame
from recite.stages.trajectory.recency import checks_of, recall_lines, recency_lines, superiority

OPTIONS = {"seed": 3, "resamples": 300, "confidence": 0.95}
STEPS = np.array([50, 100, 150, 200])


def frame(count: int) -> Frame:
    """So many planted rows, each a text of its own."""
    ids = np.random.default_rng(count).integers(0, 2**63, count, dtype=np.uint64)
    return Frame("mini", {"control": "planted"}, {"control": slice(0, count)}, ids, ids, ids, {"control": 0.0}, {})


def test_pairs_by_brute_force() -> None:
    """Prevents pairs across strata, ties that count whole, and weights of the wrong unit."""
    rng = np.random.default_rng(1)
    values, strata = rng.integers(0, 4, 40), rng.integers(0, 3, 40)
    chosen, weights = rng.random(40) < 0.4, rng.integers(0, 3, (5, 40)).astype(float)
    found, shares = superiority(values, chosen, strata, weights)
    pairs = [(a, b) for a in range(40) for b in range(40) if strata[a] == strata[b] and chosen[a] and not chosen[b]]
    assert found == len(pairs)
    for weight, share in zip(weights, shares, strict=True):
        won = sum(
            weight[a] * weight[b] * (1.0 if values[a] > values[b] else 0.5 if values[a] == values[b] else 0.0)
            for a, b in pairs
        )
        assert share == pytest.approx(won / sum(weight[a] * weight[b] for a, b in pairs))


def test_no_pair_is_no_chance() -> None:
    pairs, shares = superiority(np.arange(4), np.ones(4, bool), np.zeros(4, int), np.ones((2, 4)))
    assert pairs == 0 and np.isnan(shares).all()


def test_checks_by_hand() -> None:
    """A copy of the checkpoint's own step was seen; before the first there is no last."""
    checks = checks_of(np.array([3, 5]), np.zeros((2, 4), bool), [[50, 60, 200], []], STEPS)
    assert checks.rows.tolist() == [3] * 4 + [5] * 4
    assert checks.seen.tolist() == [1, 2, 2, 3, 0, 0, 0, 0]
    assert checks.since.tolist() == [0, 40, 90, 0, -1, -1, -1, -1]


def simulated(what: str, seed: int) -> dict[str, tuple[float, float, float, int]]:
    """300 texts of 1 to 32 copies at random steps, recited by how often, or how lately, they were seen, or neither."""
    rng = np.random.default_rng(seed)
    copies = 2 ** rng.integers(0, 6, 300)
    seen = [sorted(rng.integers(1, 201, count).tolist()) for count in copies.tolist()]
    bare = checks_of(np.arange(300), np.zeros((300, 4), bool), seen, STEPS)
    logits = {
        "count": np.log2(np.maximum(bare.seen, 1)) - 2.5,
        "recency": 3 - np.log2(1 + np.maximum(bare.since, 0)),
        "neither": np.zeros(len(bare.seen)),
    }[what]
    recited = (rng.random(len(logits)) < 1 / (1 + np.exp(-2 * logits))) & (bare.seen > 0)
    checks = checks_of(np.arange(300), recited.reshape(300, 4), seen, STEPS)
    ends = ("probability", "probability_low", "probability_high", "pairs")
    return {line["question"]: tuple(line[end] for end in ends) for line in recency_lines(frame(300), checks, OPTIONS)}


@pytest.mark.parametrize("what", ["count", "recency"])
def test_what_decides_is_found(what: str) -> None:
    """Count and recency go together: the one that decides must be found, and not be taken for the other."""
    other = {"count": "recency", "recency": "count"}[what]
    found = [simulated(what, seed) for seed in range(5)]
    assert all(made[what][1] > 0.5 for made in found)
    assert all(made[what][0] > made[other][0] for made in found)
    # Within a doubling of steps some recency is left, so that a count that does not matter is not quite at one half.
    assert np.mean([made[other][0] for made in found]) == pytest.approx(0.5, abs=0.05)


def test_nothing_is_found_where_nothing_decides() -> None:
    """Intervals over texts hold one half about as often as they say."""
    found = [line for seed in range(10) for line in simulated("neither", seed).values()]
    held = sum(low <= 0.5 <= high for _, low, high, _ in found)
    assert held >= 17
    assert all(pairs > 1000 for *_, pairs in found)


def test_a_text_is_one_unit_whatever_its_checkpoints() -> None:
    """Prevents four checkpoints of a text from counting as four texts: the interval is that of the texts."""
    seen = [[1]] * 40
    recited = np.repeat((np.arange(40) < 20)[:, None], 4, axis=1)
    four = checks_of(np.arange(40), recited, seen, np.array([66, 67, 68, 69]))
    one = checks_of(np.arange(40), recited[:, :1], seen, np.array([66]))
    (many,), (single,) = (list(recall_lines(frame(40), checks, OPTIONS)) for checks in (four, one))
    assert many["n"] == 160 and single["n"] == 40 and many["rate"] == single["rate"] == 0.5
    assert many["rate_low"] == pytest.approx(single["rate_low"])
    assert math.isclose(many["rate_high"], single["rate_high"], rel_tol=1e-9)
