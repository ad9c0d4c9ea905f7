"""recite.outcomes.means: classes by hand, means and resamples by brute force."""

import numpy as np
import pytest

from recite.outcomes import means as layer_means
from recite.outcomes.means import bags_of, classes, drawn_means, groups_of, layer_lines
from recite.outcomes.rows import Outcomes

OPTIONS = {"memorized": 1.0, "half": 0.5, "unmemorized": 0.0}


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
    kinds = {"code": "structural", "prose": "free_text", "control": "planted"}
    starts = {
        name: slice(domains.index(name), len(domains) - domains[::-1].index(name)) for name in dict.fromkeys(domains)
    }
    count = np.arange(len(hits), dtype=np.uint64)
    flags = np.zeros(len(hits), bool)
    return Outcomes("a-s", "a", 9, 0, 0.0, 4, kinds, starts, count, count, np.array(hits), flags)


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


def test_resamples_draw_texts_with_all_their_rows() -> None:
    """Prevents rows of one text from being drawn apart: a bootstrap of texts, written out, gives the same ends."""
    source = np.random.default_rng(1)
    sizes = source.choice([1, 1, 3], 150)
    texts = np.repeat(source.integers(0, 2**63, 150, dtype=np.uint64), sizes)
    values = np.repeat(source.normal(size=(150, 2)), sizes, axis=0) + source.normal(size=(len(texts), 2))
    rows = np.arange(len(texts))[5:]
    bags = bags_of(texts, rows)
    assert (bags.distinct, bags.sizes.sum()) == (len(np.unique(texts[5:])), len(rows))
    drawn = drawn_means(bags, bags.sums(values), 4000, np.random.default_rng(2))
    np.testing.assert_allclose(drawn[0], values[5:].mean(axis=0), rtol=1e-12)
    names = np.unique(texts[5:])
    members = [np.flatnonzero(texts[5:] == name) + 5 for name in names]
    brute = []
    for _ in range(4000):
        chosen = np.concatenate([members[place] for place in source.integers(0, len(names), len(names))])
        brute.append(values[chosen].mean(axis=0))
    found, expected = (np.quantile(part, [0.05, 0.95], axis=0) for part in (drawn[1:], np.array(brute)))
    np.testing.assert_allclose(found, expected, atol=0.1 * np.ptp(expected, axis=0).max())


def test_many_texts_in_bags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a sample of millions of texts from being drawn text by text; the means stay, the ends nearly."""
    source = np.random.default_rng(3)
    texts = np.repeat(source.integers(0, 2**63, 3000, dtype=np.uint64), source.choice([1, 2, 5], 3000))
    values = source.gamma(2.0, size=(len(texts), 1)) + (texts % 7)[:, None]
    rows = np.arange(len(texts))
    ends = []
    for most in (10_000, 512):
        monkeypatch.setattr(layer_means, "BAGS", most)
        bags = bags_of(texts, rows)
        assert bags.distinct == 3000 and 0.98 * min(most, 3000) < len(bags.sizes) <= most
        drawn = drawn_means(bags, bags.sums(values), 2000, np.random.default_rng(4))
        assert drawn[0, 0] == pytest.approx(values.mean())
        ends.append(drawn[1:].std())
    assert ends[1] == pytest.approx(ends[0], rel=0.1)


def test_a_line_per_layer() -> None:
    """Prevents the value that was seen from entering its own interval."""
    seen, resamples = np.array([[5.0, 9.0]]), np.tile(np.arange(101.0)[:, None], (1, 2))
    first, second = layer_lines({"a": np.concatenate([seen, resamples])}, 0.9)
    assert first == pytest.approx({"a": 5.0, "a_low": 5.0, "a_high": 95.0})
    assert second["a"] == 9.0
