"""Which heads go on: against rankings by all rows, in simulated studies with and without heads that stand out."""

from pathlib import Path

import numpy as np
import pytest

from ablated import COUNT, KINDS, Rows, drawn_of, options_of, write_ablated
from looks import Simulated, held, replay
from recite.errors import ReciteError
from recite.stages.heads.first import count_of, first
from recite.stages.heads.places import FEWEST_UNITS, known, probabilities, tell_open_heads
from recite.stages.heads.rows import OPEN_HEADS

MOST, HEADS, LOOKS = 1000, 200, [60, 150, 400]


def study(seed: int, effect: float, heads: int = HEADS) -> Simulated:
    """Heads whose effects scatter by `effect`, over rows that lose alike by all heads, and by each on its own."""
    rng = np.random.default_rng(seed)
    effects = effect * rng.standard_exponential(heads)
    rows = rng.normal(0, 1, (MOST, 1)) + rng.normal(0, 1, (MOST, heads)) * rng.uniform(0.5, 1.5, heads)
    return Simulated(effects + rows, effects)


@pytest.mark.parametrize(("effect", "fewer"), [(1.0, 5.0), (0.2, 2.0), (0.05, 1.0), (0.0, 1.0)])
def test_at_most_a_twentieth_of_the_fifth_is_lost(effect: float, fewer: float) -> None:
    """Heads that stand out are told apart by few rows; where none do, most heads keep all of their rows."""
    found = [replay(None, study(seed, effect).drops, LOOKS) for seed in range(6)]
    assert np.mean([one.recall for one in found]) >= 0.95
    assert np.mean([MOST / one.rows.mean() for one in found]) >= fewer


def test_probabilities_are_no_surer_than_the_truth() -> None:
    """Of heads of which it says 30%, 30% or less are in the fifth by all rows; they sum to the size of the fifth."""
    said, true = [], []
    for seed in range(25):
        drops = study(seed, 0.1).drops
        k = count_of(0.2, HEADS)
        found = probabilities(drops[:150], np.arange(150), MOST, k)
        assert found.sum() == pytest.approx(k, rel=1e-6)
        said.append(found)
        true.append(first(drops.mean(axis=0), k))
    shares, inside = np.concatenate(said), np.concatenate(true)
    for low in (0.02, 0.1, 0.3, 0.5, 0.7):
        chosen = (shares >= low) & (shares < low + 0.2)
        said_of, true_of = shares[chosen].mean(), inside[chosen].mean()
        assert true_of < said_of + 0.05 if said_of < 0.5 else true_of > said_of - 0.05


def test_rows_of_one_text_are_one_observation() -> None:
    """Every row five times tells no more than once, where each text is a unit; else much more seems to be known."""
    drops = study(3, 0.1).drops[:80]
    once = probabilities(drops, np.arange(80), MOST, 40)
    units = np.repeat(np.arange(80), 5)
    again = probabilities(np.repeat(drops, 5, axis=0), units, 5 * MOST, 40)
    apart = probabilities(np.repeat(drops, 5, axis=0), np.arange(400), 5 * MOST, 40)
    np.testing.assert_allclose(again, once, atol=0.02)
    assert np.minimum(apart, 1 - apart).sum() < 0.7 * np.minimum(once, 1 - once).sum()


def test_intervals() -> None:
    """Of heads that may be left for what they show: they hold their effects as often as they say."""
    for effect in (1.0, 0.1):
        holding = []
        for seed in range(10):
            one = study(seed, effect)
            holding.append(held(one, replay(None, one.drops, LOOKS).rows, len(LOOKS), 0.95))
        assert np.concatenate(holding).mean() > 0.93


def test_few_units_leave_all_heads() -> None:
    """A standard error of a handful of texts says nothing, however many rows they have."""
    drops = study(1, 1.0).drops
    few = replay(None, drops, [100], np.arange(MOST) % (FEWEST_UNITS - 1))
    assert (few.rows == MOST).all() and few.recall == 1
    assert (replay(None, drops, [100], np.arange(MOST) % 60).rows < MOST).any()


def test_hits_decide_and_log_probability_only_where_they_are_equal() -> None:
    """Prevents heads from being left by the log-probability of rows that have hits to lose."""
    one = study(4, 1.0)
    hits = np.round(2 * one.drops)
    found = replay(hits, np.random.default_rng(1).normal(0, 1, hits.shape), LOOKS)
    assert found.recall >= 0.95 and MOST / found.rows.mean() > 3
    equal = replay(np.zeros_like(hits), one.drops, LOOKS)
    assert np.array_equal(equal.rows, replay(None, one.drops, LOOKS).rows) or equal.recall >= 0.95


@pytest.mark.parametrize(("allowed", "expected"), [(0.0, 0), (0.02, 2), (0.5, 4), (9.0, 6)])
def test_the_cheapest_are_known(allowed: float, expected: int) -> None:
    """Their costs are 0.001, 0.01, 0.1, 0.2, 0.4, 0.5."""
    found = known(np.array([0.5, 0.001, 0.4, 0.99, 0.8, 0.1]), allowed)
    assert found.sum() == expected
    assert expected != 2 or found.tolist() == [False, True, False, True, False, False]


def test_the_job(tmp_path: Path) -> None:
    """A domain and group each on its own; what was left stays so, and the last rows close all."""
    rows = Rows()
    rows.hits[:] = rows.clean_hits[:, None] - np.array([4, 3, 0, 0, 0, 0])
    rounds = rows.frame["sequence_id"].to_numpy() // len(KINDS) % 3
    units = rows.frame.assign(round=rounds).groupby(["domain", "round"])["sequence_id"].nunique()
    assert units.min() < FEWEST_UNITS
    drawn = [drawn_of(tmp_path, rows, rounds=rounds, memorized=np.arange(len(rounds)) >= 0)]
    options = options_of(KINDS) | {"model": "a-s", "looks": [40, 80]}
    told, before = [], None
    for number in (0, 1, 2):
        measured = np.broadcast_to(rounds[:, None] <= number, (len(rounds), COUNT)).copy()
        keep = [line for line in range(len(rounds)) if rounds[line] <= number]
        part = Rows()
        part.frame = rows.frame.iloc[keep].reset_index(drop=True)
        for name in ("clean_hits", "clean", "hits", "log_probability"):
            setattr(part, name, getattr(rows, name)[keep])
        paths = write_ablated(tmp_path / str(number), part, keep=len(keep), measured=measured[keep])
        path = tmp_path / f"open-{number}.parquet"
        tell_open_heads(options | {"round": number}, paths, drawn, before, path)
        told.append(OPEN_HEADS.read(path).to_pandas())
        before = path
    assert all(len(table) == COUNT * len(KINDS) and set(table["group"]) == {"memorized"} for table in told)
    for table in told[:2]:
        for domain, lines in table.groupby("domain"):
            chosen = (rows.frame["domain"] == domain) & (rounds <= (0 if table is told[0] else 1))
            assert (lines["n"] == chosen.sum()).all()
            enough = rows.frame["sequence_id"][chosen].nunique() >= FEWEST_UNITS
            assert lines["open"].all() if not enough else not lines["open"].any()
    assert not told[2]["open"].any()
    sure = told[1][told[1]["domain"] == "prose"].set_index("head")["probability"]
    assert sure[0] > 0.95 and (sure[[2, 3, 4, 5]] < 0.05).all()
    with pytest.raises(ReciteError, match="not all rows that"):
        tell_open_heads(options | {"round": 2}, write_ablated(tmp_path / "few", part, keep=5), drawn, None, path)
