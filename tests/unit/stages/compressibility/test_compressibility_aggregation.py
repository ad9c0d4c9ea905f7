"""recite.stages.compressibility.summarize against numbers by hand and a plain loop."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.errors import ReciteError
from recite.outcomes.draws import DRAWS, read_draws
from recite.stages.compressibility.rows import SUFFIXES
from recite.stages.compressibility.summarize import aggregate_suffixes
from recite.stages.compressibility.tables import COMPRESSIBILITY, SUFFIX_LENGTHS
from recite.statistics.intervals import wilson

LENGTH = 8
KINDS = {"code": "structural", "prose": "free_text", "control": "planted"}
OPTIONS = {"seed": 1, "corpora": {"a-s": "texts"}, "kinds": {"texts": KINDS}, "confidence": 0.9, "resamples": 500}
OPTIONS |= {"estimand": "texts"}
TABLES = {table.name: table for table in (COMPRESSIBILITY, SUFFIX_LENGTHS, DRAWS)}
ROWS = [
    # row, text, domain, lengths that suffice
    (1, 1, "code", [8]),
    (2, 2, "code", [4, 5, 6, 7, 8]),
    (3, 2, "prose", [4, 5, 6, 7, 8]),
    (4, 3, "prose", [2, 8]),
    (5, 4, "control", [1, 2, 3, 4, 5, 6, 7, 8]),
]


def write(path: Path, rows: list[tuple[int, int, str, list[int]]], share: float = 0.5) -> Path:
    columns: dict[str, Any] = {
        "row_id": [row[0] for row in rows],
        "sequence_id": [row[1] for row in rows],
        "domain": [row[2] for row in rows],
        "inclusion_probability": [share] * len(rows),
        "mask": [sum(1 << (length - 1) for length in row[3]) for row in rows],
        "shortest": [min(row[3]) for row in rows],
    }
    made = {"options": {"model": "a-s", "family": "a"}, "parameters": 9, "context_tokens": LENGTH}
    SUFFIXES.write(path, columns, made | {"continuation_tokens": 4})
    return path


def aggregated(folder: Path, *paths: Path, estimand: str = "texts") -> dict[str, pd.DataFrame]:
    outputs = {name: folder / f"{name}.made.parquet" for name in TABLES}
    aggregate_suffixes(OPTIONS | {"estimand": estimand}, paths, outputs)
    return {name: TABLES[name].read(path).to_pandas() for name, path in outputs.items()}


def test_ratios_by_hand(tmp_path: Path) -> None:
    """Prevents planted rows among the natural ones, a ratio in other units, and half of the context being too long."""
    table = aggregated(tmp_path, write(tmp_path / "a", ROWS))["compressibility"].set_index("domain")
    assert table.index.tolist() == ["code", "prose", "control", "natural"]
    natural = table.loc["natural"]
    assert (natural["n"], natural["distinct"], natural["kind"]) == (4, 3, "mixed")
    assert natural["mean_ratio"] == pytest.approx((8 + 4 + 4 + 2) / 4 / 8)
    assert natural["median_ratio"] == pytest.approx(4 / 8)
    assert natural["short"] == pytest.approx(3 / 4)  # 4 of 8 is half
    assert natural["non_monotone"] == pytest.approx(1 / 4)  # 2 suffices, 3 does not
    assert table["non_monotone"].tolist() == [0, 0.5, 0, 0.25]
    # by hand: 3/4 x 1/4 over ((3/4)^2 + 3 (1/4)^2) / 4^2, domain by domain, among rows whose number is not known
    assert natural["effective_n"] == pytest.approx(4)
    assert (natural["short_low"], natural["short_high"]) == pytest.approx(wilson(0.75, 4, 0.9))
    assert (natural["non_monotone_low"], natural["non_monotone_high"]) == pytest.approx(wilson(0.25, 4, 0.9))
    (draw,) = read_draws([tmp_path / "draws.made.parquet"])["short"]
    assert draw.values[0, 0] == pytest.approx(3 / 4) and draw.values.shape == (501, 1)
    half = aggregated(tmp_path, write(tmp_path / "a", ROWS), estimand="corpus")["compressibility"]
    assert half.set_index("domain").loc["natural", "effective_n"] == pytest.approx(8)


def test_a_census_has_no_error(tmp_path: Path) -> None:
    """Prevents intervals about what is known: all documents were asked. Planted ones stand for others like them."""
    path = write(tmp_path / "a", ROWS, share=1.0)
    table = aggregated(tmp_path, path, estimand="corpus")["compressibility"].set_index("domain")
    assert table.loc["control", "short_low"] < 0.5
    table = table.drop(index="control")
    for name in ("mean_ratio", "short", "non_monotone"):
        for end in ("low", "high"):
            np.testing.assert_allclose(table[f"{name}_{end}"], table[name], rtol=1e-12)


@pytest.mark.parametrize(("estimand", "share"), [("texts", 0.5), ("corpus", 0.0), ("corpus", 0.64)])
def test_intervals_resample_what_was_sampled(tmp_path: Path, estimand: str, share: float) -> None:
    """Prevents rows of one unit from being drawn apart: a bootstrap of units, written out, gives the same ends."""
    source = np.random.default_rng(1)
    lengths, sizes = source.integers(1, LENGTH + 1, 200), source.choice([1, 1, 3], 200)
    texts = np.repeat(np.arange(200), sizes)
    rows = [(i, int(t), "code", list(range(int(lengths[t]), LENGTH + 1))) for i, t in enumerate(texts)]
    line = aggregated(tmp_path, write(tmp_path / "a", rows, share), estimand=estimand)["compressibility"].iloc[0]
    units, stretch = (texts, 1.0) if estimand == "texts" else (np.arange(len(texts)), (1 - share) ** 0.5)
    means = []
    for _ in range(3000):
        times = np.bincount(source.integers(0, units.max() + 1, units.max() + 1), minlength=units.max() + 1)[units]
        weights = 1 + stretch * (times - 1)
        means.append(weights @ lengths[texts] / weights.sum() / LENGTH)
    low, high = np.quantile(means, [0.05, 0.95])
    assert (line["mean_ratio_low"], line["mean_ratio_high"]) == pytest.approx((low, high), abs=0.15 * (high - low))


def test_lengths_by_hand(tmp_path: Path) -> None:
    """Prevents lengths that are off by one, and shortest lengths that are counted where any suffices."""
    table = aggregated(tmp_path, write(tmp_path / "a", ROWS))["suffix_lengths"]
    assert table["length"].tolist() == list(range(1, LENGTH + 1))
    assert table["ratio"].tolist() == pytest.approx([length / LENGTH for length in range(1, LENGTH + 1)])
    assert table["shortest"].tolist() == [0, 1, 0, 2, 0, 0, 0, 1]
    assert table["sufficient"].tolist() == [0, 1, 0, 2, 2, 2, 2, 4]
    assert table["sufficient_share"].tolist() == pytest.approx([count / 4 for count in table["sufficient"]])


def test_order_and_split_change_nothing(tmp_path: Path) -> None:
    """Prevents the number of jobs, or the order of their files, from changing a table."""
    whole = aggregated(tmp_path, write(tmp_path / "a", ROWS))
    parts = [write(tmp_path / "b", ROWS[3:]), write(tmp_path / "c", ROWS[2::-1])]
    for name, table in aggregated(tmp_path, *parts).items():
        pd.testing.assert_frame_equal(table, whole[name], check_exact=True)


def test_nothing_memorized_has_no_line(tmp_path: Path) -> None:
    """Prevents a division by zero where a model recites no row whole, or planted ones only."""
    assert [len(table) for table in aggregated(tmp_path, write(tmp_path / "a", [])).values()] == [0, 0, 0]
    planted = aggregated(tmp_path, write(tmp_path / "b", ROWS[4:]))
    assert planted["compressibility"]["domain"].tolist() == ["control"]
    assert (len(planted["suffix_lengths"]), len(planted["draws"])) == (0, 0)


def test_a_row_in_two_parts(tmp_path: Path) -> None:
    """Prevents rows of parts that overlap from counting twice."""
    with pytest.raises(ReciteError, match="row 3 of a-s"):
        aggregated(tmp_path, write(tmp_path / "a", ROWS[:3]), write(tmp_path / "b", ROWS[2:]))
