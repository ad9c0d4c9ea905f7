"""recite.stages.frequency.countings against numbers by hand, and its intervals against simulation."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from recite.stages.frequency.countings import (
    Frequencies,
    correlation_interval,
    counting_lines,
    mean_interval,
    read_frequencies,
)
from recite.stages.frequency.rows import FREQUENCIES
from recite.statistics.tests import correlation


def frequencies(counts: list[int], texts: list[int] | None = None, measure: str = "sequence") -> Frequencies:
    """Counts by one measure; the others are all 1."""
    rows = len(counts)
    values = {name: np.ones(rows) for name in ("sequence", "context", "continuation", "token_frequency")}
    named = np.array(texts or range(rows))
    return Frequencies(np.arange(rows), named, values | {measure: np.array(counts)})


def line(known: list[int], found: list[int], texts: list[int] | None = None) -> dict[str, Any]:
    counted = {"bytes": frequencies(known, texts), "other": frequencies(found, texts)}
    lines = list(counting_lines("a", counted, 0.95))
    assert [made["measure"] for made in lines] == ["sequence", "context", "continuation"]
    return lines[0]


def test_by_hand() -> None:
    """Prevents shares of another base, a bias that takes what is missed as a count, and the wrong direction."""
    found = line([1, 2, 4, 8, 0], [1, 0, 1, 8, 0])
    assert (found["family"], found["counting"], found["reference"], found["texts"]) == ("a", "other", "bytes", 5)
    assert found["equal"] == pytest.approx(3 / 5)
    assert found["missed"] == pytest.approx(1 / 4)
    assert found["bias"] == pytest.approx(np.mean([0, -2, 0]))
    assert found["correlation"] == pytest.approx(stats.spearmanr([1, 2, 4, 8, 0], [1, 0, 1, 8, 0]).statistic)
    assert found["bias_low"] < found["bias"] < found["bias_high"]


def test_each_text_once() -> None:
    """Prevents a text of many rows from weighing as many texts."""
    once = line([1, 2, 4, 8], [1, 0, 1, 8])
    assert line([1, 2, 2, 2, 4, 8], [1, 0, 0, 0, 1, 8], texts=[1, 2, 2, 2, 3, 4]) == once


def test_nothing_to_compare() -> None:
    """Prevents a division by zero, a logarithm of zero, and a correlation of constants."""
    found = line([0, 0, 3], [0, 0, 0])
    assert (found["missed"], found["equal"]) == (1, pytest.approx(2 / 3))
    assert math.isnan(found["bias"])
    assert math.isnan(found["bias_low"])
    assert math.isnan(found["correlation"])
    same = line([1, 1], [1, 1])
    assert (same["bias"], same["bias_low"], same["bias_high"], same["missed"]) == (0, 0, 0, 0)


def test_intervals_cover() -> None:
    """Prevents intervals that are too narrow or too wide: 93% to 97% of 2,000 samples from a known law."""
    source, rho, covered = np.random.default_rng(5), 0.6, {"mean": 0, "correlation": 0}
    spearman = 6 / math.pi * math.asin(rho / 2)
    first, other = (source.normal(size=(2000, 60)) for _ in range(2))
    second = rho * first + math.sqrt(1 - rho**2) * other
    correlations = correlation(*(stats.rankdata(values, axis=1) for values in (first, second)))  # Spearman's
    for values, found in zip(first, correlations.tolist(), strict=True):
        low, high = mean_interval(values, 0.95)
        covered["mean"] += low <= 0 <= high
        low, high = correlation_interval(found, 60, 0.95)
        covered["correlation"] += low <= spearman <= high
    assert all(0.93 <= count / 2000 <= 0.97 for count in covered.values()), covered


def test_few_texts() -> None:
    """Prevents an interval of what has none."""
    assert np.isnan(correlation_interval(0.5, 3, 0.95)).all()
    assert correlation_interval(1.0, 9, 0.95) == (1, 1)
    assert mean_interval(np.array([2.0]), 0.95) == (2, 2)


def write(path: Path, counting: str, row_ids: list[int], counts: list[int]) -> Path:
    rows = len(row_ids)
    columns: dict[str, Any] = {"row_id": row_ids, "sequence_id": row_ids, "domain": ["code"] * rows}
    columns |= {name: counts for name in ("sequence", "context", "continuation")} | {"token_frequency": [0.1] * rows}
    FREQUENCIES.write(path, columns, {"options": {"family": "a", "counting": counting}})
    return path


def test_only_rows_that_all_have_counted(tmp_path: Path) -> None:
    """Prevents rows of one way of counting from being set against other rows of another, in whatever order they are."""
    paths = [write(tmp_path / "a", "public", [7, 3, 9], [70, 30, 90])]
    paths += [write(tmp_path / "b", "bytes", [9, 1, 3, 7], [9, 1, 3, 7])]
    found = read_frequencies(paths, ["bytes", "public"])["a"]
    assert list(found) == ["bytes", "public"]
    assert found["bytes"].row_ids.tolist() == found["public"].row_ids.tolist() == [3, 7, 9]
    assert found["bytes"].values["sequence"].tolist() == [3, 7, 9]
    assert found["public"].values["sequence"].tolist() == [30, 70, 90]
    assert found["public"].of(np.array([9, 3]), "context").tolist() == [90, 30]
