"""recite.outcomes.means: classes by hand, means and resamples by brute force."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recite.outcomes.frame import Frame, read_frame
from recite.outcomes.means import bags_of, classes, groups_of, layer_lines
from recite.outcomes.rates import share_of
from recite.outcomes.rows import Outcomes
from recite.statistics.resampling import BAGS

KINDS = {"code": "structural", "prose": "free_text", "control": "planted"}
OPTIONS: dict[str, Any] = {"memorized": 1.0, "half": 0.5, "unmemorized": 0.0, "confidence": 0.9}
OPTIONS |= {"seed": 1, "resamples": 4000, "estimand": "corpus", "corpora": {"a-s": "texts"}, "kinds": {"texts": KINDS}}


def frame_of(
    texts: np.ndarray, share: float = 0.25, domains: list[str] | None = None, estimand: str = "corpus", seed: int = 0
) -> Frame:
    """The frame of rows of these texts; ids ascend within a domain, so that rows stay in their order."""
    ids = np.sort(np.random.default_rng(seed).integers(0, 2**63, len(texts), dtype=np.uint64))
    table = pa.table(
        {
            "row_id": ids,
            "sequence_id": np.asarray(texts, np.uint64),
            "domain": pa.chunked_array([pa.array(domains or ["code"] * len(texts)).dictionary_encode()]),
            "inclusion_probability": np.full(len(texts), share),
        }
    )
    order, frame = read_frame(table, "a-s", OPTIONS | {"estimand": estimand})
    assert (order == np.arange(len(texts))).all()
    return frame


def test_classes_by_hand() -> None:
    """Prevents rows in between from entering a class, and a threshold that is off by one token."""
    found = classes(np.array([8, 7, 5, 4, 3, 1, 0]), 8, OPTIONS)
    assert {name: np.flatnonzero(members).tolist() for name, members in found.items()} == {
        "all": [0, 1, 2, 3, 4, 5, 6],
        "memorized": [0],
        "half": [3],
        "unmemorized": [6],
    }
    loose = classes(np.array([8, 7, 5, 4, 3, 1, 0]), 8, {"memorized": 0.6, "half": 0.375, "unmemorized": 0.125})
    assert [np.flatnonzero(members).tolist() for members in loose.values()][1:] == [[0, 1, 2], [4], [5, 6]]


def outcomes(hits: list[int], domains: list[str]) -> Outcomes:
    """Rows by domain, as they are read."""
    count = np.arange(len(hits))
    return Outcomes(
        "a-s", "a", 9, 0, 0.0, 4, frame_of(count, 1.0, domains), count, np.array(hits), np.zeros(len(hits), bool)
    )


def test_natural_and_planted_rows_apart() -> None:
    """Prevents planted rows among the natural ones; a class without rows is left out."""
    found = outcomes([4, 0, 2, 4, 4], ["code", "code", "prose", "control", "control"])
    assert [(rows, group, chosen.tolist()) for rows, group, chosen in groups_of(found, OPTIONS)] == [
        ("natural", "all", [0, 1, 2]),
        ("natural", "memorized", [0]),
        ("natural", "half", [2]),
        ("natural", "unmemorized", [1]),
        ("planted", "all", [3, 4]),
        ("planted", "memorized", [3, 4]),
    ]


@pytest.mark.parametrize(("estimand", "share"), [("corpus", 0.0), ("corpus", 0.64), ("texts", 0.64)])
def test_resamples_draw_what_was_sampled(estimand: str, share: float) -> None:
    """Prevents rows of one unit from being drawn apart: a bootstrap of units, written out, gives the same ends.

    The first five rows are of another class: they are drawn, but take no part in the mean. Of a corpus, rows are
    documents, of which a share f is sampled: a row that is drawn w times counts 1 + sqrt(1 - f) (w - 1).
    """
    source = np.random.default_rng(1)
    sizes = source.choice([1, 1, 3], 150)
    texts = np.repeat(source.integers(0, 2**63, 150, dtype=np.uint64), sizes)
    values = np.repeat(source.normal(size=(150, 2)), sizes, axis=0) + source.normal(size=(len(texts), 2))
    rows = np.arange(len(texts))[5:]
    bags = bags_of(frame_of(texts, share, estimand=estimand), rows, OPTIONS)
    assert (bags.distinct, bags.sizes.sum()) == (len(np.unique(texts[5:])), len(rows))
    drawn = bags.means(bags.sums(values))
    np.testing.assert_allclose(drawn[0], values[5:].mean(axis=0), rtol=1e-12)
    names, units = np.unique(texts, return_inverse=True) if estimand == "texts" else (texts, np.arange(len(texts)))
    stretch = (1 - share) ** 0.5 if estimand == "corpus" else 1.0
    brute = []
    for _ in range(4000):
        times = np.bincount(source.integers(0, len(names), len(names)), minlength=len(names))
        weights = 1 + stretch * (times[units][5:] - 1)
        brute.append(weights @ values[5:] / weights.sum())
    found, expected = (np.quantile(part, [0.05, 0.95], axis=0) for part in (drawn[1:], np.array(brute)))
    np.testing.assert_allclose(found, expected, atol=0.1 * np.ptp(expected, axis=0).max())


def test_equal_texts_are_one_unit_of_texts_alone() -> None:
    """Prevents ten rows of each text from narrowing what is said of texts, and of two domains' from being one unit."""
    source = np.random.default_rng(2)
    texts, values = source.integers(0, 2**63, 80, dtype=np.uint64), source.normal(size=80)
    many = np.repeat(texts, 10)
    errors = {}
    for estimand in ("corpus", "texts"):
        for name, of_texts, of_values in (("once", texts, values), ("often", many, np.repeat(values, 10))):
            frame = frame_of(of_texts, 0.0, estimand=estimand)
            bags = bags_of(frame, np.arange(len(of_texts)), OPTIONS)
            errors[estimand, name] = bags.means(bags.sums(of_values[:, None]))[1:].std()
            rate = share_of(frame, np.arange(len(of_texts)), of_values > 0, OPTIONS, "rate")
            expected = len(of_texts) if estimand == "corpus" else 80
            assert rate["rate_n"] == pytest.approx(expected * (1 - 1 / expected))
    assert errors["texts", "often"] == pytest.approx(errors["texts", "once"], rel=0.1)
    assert errors["corpus", "often"] == pytest.approx(errors["corpus", "once"] / 10**0.5, rel=0.1)
    both = frame_of(np.concatenate([texts, texts]), domains=["code"] * 80 + ["prose"] * 80, estimand="texts")
    assert len(np.unique(both.units)) == 160


def test_planted_texts_stand_for_others_like_them() -> None:
    """Prevents planted texts, all of which are sampled, from being taken for all that could have been planted."""
    texts = np.repeat(np.arange(30), 2)
    frame = frame_of(texts, 1.0, ["code"] * 20 + ["control"] * 40)
    assert frame.fractions == {"code": 1.0, "control": 0.0}
    assert [len(np.unique(frame.units[part])) for part in frame.starts.values()] == [20, 20]


def test_a_census_has_no_error() -> None:
    """Prevents intervals about what is known: all documents were asked."""
    source = np.random.default_rng(3)
    frame = frame_of(source.integers(0, 2**63, 60, dtype=np.uint64), 1.0, ["code"] * 40 + ["prose"] * 20)
    for rows in (np.arange(60), np.arange(7, 50, 3)):
        bags = bags_of(frame, rows, OPTIONS)
        drawn = bags.means(bags.sums(source.normal(size=(60, 2))))
        assert (drawn == drawn[0]).all()
        line = share_of(frame, rows, source.random(len(rows)) < 0.4, OPTIONS, "rate")
        assert line["rate_low"] == line["rate"] == line["rate_high"]


def test_domains_are_strata() -> None:
    """Prevents the mix of domains, which is given, from being drawn: nothing varies in one of rate 0, or of rate 1."""
    texts = np.random.default_rng(4).integers(0, 2**63, 90, dtype=np.uint64)
    frame = frame_of(texts, 0.1, ["code"] * 50 + ["prose"] * 40)
    memorized = np.arange(90) < 50
    bags = bags_of(frame, np.arange(90), OPTIONS)
    np.testing.assert_allclose(bags.means(bags.sums(memorized[:, None].astype(float))), 5 / 9)
    together = bags_of(frame_of(texts, 0.1), np.arange(90), OPTIONS)
    assert together.means(together.sums(memorized[:, None].astype(float)))[1:].std() > 0.03


def test_domains_and_corpora_are_drawn_apart() -> None:
    """Prevents documents that share a bag in two domains, or two corpora, from going together in every resample."""
    names = np.arange(40, dtype=np.uint64)
    both = frame_of(np.arange(80), 0.0, ["code"] * 40 + ["prose"] * 40)
    both = both._replace(units=np.concatenate([names, names + BAGS]), bags={})
    code, prose = (stratum.weights() for stratum in bags_of(both, np.arange(80), OPTIONS).strata)
    assert code.shape == prose.shape and abs(np.corrcoef(code.ravel(), prose.ravel())[0, 1]) < 0.05
    other = both._replace(corpus="elsewhere")
    assert not np.array_equal(bags_of(other, np.arange(80), OPTIONS).strata[0].weights(), code)
    assert np.array_equal(bags_of(both, np.arange(40), OPTIONS).strata[0].weights(), code)


def test_a_class_without_a_row_in_a_resample() -> None:
    """Prevents a resample that lacks the class from counting as a mean of 0."""
    frame = frame_of(np.arange(40), 0.0)
    bags = bags_of(frame, np.array([3]), OPTIONS)
    drawn = bags.means(bags.sums(np.full((40, 1), 7.0)))[:, 0]
    assert 0.3 < np.isnan(drawn).mean() < 0.43  # e^-1 of them
    np.testing.assert_allclose(drawn[~np.isnan(drawn)], 7)


@pytest.mark.parametrize("estimand", ["corpus", "texts"])
def test_many_units_in_bags(estimand: str) -> None:
    """Prevents a sample of millions from being drawn unit by unit; the mean stays, its error is that in closed form."""
    source = np.random.default_rng(3)
    sizes = source.choice([1, 2, 5], 20_000)
    texts = np.repeat(source.integers(0, 2**63, 20_000, dtype=np.uint64), sizes)
    values = source.gamma(2.0, size=(len(texts), 1)) + (texts % 7)[:, None]
    bags = bags_of(frame_of(texts, 0.5, estimand=estimand), np.arange(len(texts)), OPTIONS | {"resamples": 2000})
    assert bags.distinct == 20_000 and 0.98 * BAGS < bags.bags <= BAGS
    drawn = bags.means(bags.sums(values))[:, 0]
    assert drawn[0] == pytest.approx(values.mean())
    residuals = values[:, 0] - values.mean()
    if estimand == "texts":
        residuals = np.add.reduceat(residuals, np.cumsum(sizes) - sizes)
    share = 0.5 if estimand == "corpus" else 0.0
    assert drawn[1:].std() == pytest.approx(((1 - share) * (residuals**2).sum()) ** 0.5 / len(texts), rel=0.07)


def test_a_line_per_layer() -> None:
    """Prevents the value that was seen from entering its own interval."""
    seen, resamples = np.array([[5.0, 9.0]]), np.tile(np.arange(101.0)[:, None], (1, 2))
    first, second = layer_lines({"a": np.concatenate([seen, resamples])}, 0.9)
    assert first == pytest.approx({"a": 5.0, "a_low": 5.0, "a_high": 95.0})
    assert second["a"] == 9.0
