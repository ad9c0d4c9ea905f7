"""recite.stages.frequency.summarize against numbers by hand, a plain loop, and a planted threshold."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.outcomes.draws import DRAWS
from recite.stages.frequency.rows import FREQUENCIES
from recite.stages.frequency.summarize import aggregate_frequencies
from recite.stages.frequency.tables import COUNTINGS, FREQUENCY_RATES, THRESHOLDS
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import wilson

STEPS = 4
KINDS = {"code": "structural", "prose": "free_text", "control": "planted"}
OPTIONS: dict[str, Any] = {
    "seed": 1,
    "corpora": {"a-s": "texts", "a-l": "texts"},
    "kinds": {"texts": KINDS},
    "estimand": "texts",
    "confidence": 0.9,
    "resamples": 400,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
    "margin_tolerance": {"float32": 0.1},
    "countings": ["bytes", "other"],
    "rise": 0.1,
}
TABLES = {table.name: table for table in (FREQUENCY_RATES, THRESHOLDS, COUNTINGS, DRAWS)}


def rows_of(number: int, seed: int, rise_at: int = 3) -> pd.DataFrame:
    """Rows whose rate is 0.1 up to 2**rise_at occurrences and 0.8 from there on; every fifth text has three rows."""
    source = np.random.default_rng(seed)
    texts = np.repeat(np.arange(number), np.where(np.arange(number) % 5 == 0, 3, 1))
    counts = (2 ** source.uniform(0, 7, number)).astype(int)
    whole = source.random(number) < np.where(counts >= 2**rise_at, 0.8, 0.1)
    made = pd.DataFrame({"row_id": np.arange(len(texts)) * 7 + 1, "sequence_id": texts, "count": counts[texts]})
    made["hits"] = np.where(whole[texts], STEPS, source.integers(0, STEPS, number)[texts])
    made["domain"] = np.array(list(KINDS))[made["sequence_id"] % 3]
    made["token_frequency"] = 10.0 ** -source.uniform(1, 4, len(made))
    return made


def scores(path: Path, rows: pd.DataFrame, model: str, parameters: int) -> Path:
    columns: dict[str, Any] = {name: rows[name].tolist() for name in ("row_id", "sequence_id", "domain", "hits")}
    columns |= {"first_mismatch": [0] * len(rows), "generated": [[0] * STEPS] * len(rows), "margin": [1.0] * len(rows)}
    columns |= {"inclusion_probability": [0.5] * len(rows)}
    made = {"options": {"model": model, "family": "a"}, "parameters": parameters, "continuation_tokens": STEPS}
    SCORES.write(path, columns, made | {"dtype": "float32"})
    return path


def frequencies(path: Path, rows: pd.DataFrame, counting: str, counts: list[int]) -> Path:
    columns: dict[str, Any] = {name: rows[name].tolist() for name in ("row_id", "sequence_id", "domain")}
    columns |= {"sequence": counts, "context": [2 * count for count in counts], "continuation": counts}
    columns |= {"token_frequency": rows["token_frequency"].tolist()}
    FREQUENCIES.write(path, columns, {"options": {"family": "a", "counting": counting}})
    return path


def aggregated(
    folder: Path, scored: list[Path], counted: list[Path], options: dict[str, Any] = OPTIONS
) -> dict[str, pd.DataFrame]:
    outputs = {name: folder / f"{name}.made" for name in TABLES}
    aggregate_frequencies(options, scored, counted, outputs)
    return {name: table.read(outputs[name]).to_pandas() for name, table in TABLES.items()}


@pytest.fixture
def rows() -> pd.DataFrame:
    return rows_of(1500, 1)


@pytest.fixture
def tables(tmp_path: Path, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    known = rows["count"].tolist()
    counted = [frequencies(tmp_path / "f", rows, "bytes", known)]
    counted += [frequencies(tmp_path / "g", rows, "other", [count // 4 for count in known])]
    return aggregated(tmp_path, [scores(tmp_path / "s", rows, "a-s", 10)], counted)


def test_rates_equal_a_plain_loop(tables: dict[str, pd.DataFrame], rows: pd.DataFrame) -> None:
    """Prevents bins off by one, planted rows among natural ones, and counts of another way or span."""
    table = tables["frequency_rates"]
    factors = {("bytes", "sequence"): 1, ("bytes", "context"): 2, ("other", "continuation"): 0.25}
    for (counting, measure), factor in factors.items():
        counts = np.floor(rows["count"] * factor)
        for kind in ("natural", "planted"):
            part = table[(table["counting"] == counting) & (table["measure"] == measure) & (table["rows"] == kind)]
            assert part["from"].tolist() == sorted(part["from"])
            chosen = (rows["domain"] == "control") == (kind == "planted")
            assert part["n"].sum() == chosen.sum()
            for line in part.rename(columns={"from": "low"}).itertuples():
                low, high = line.low, line.to
                inside = chosen & (counts >= low) & (counts < high)
                assert (line.n, line.memorized) == (inside.sum(), (rows["hits"][inside] == STEPS).sum())
                assert line.distinct == rows["sequence_id"][inside].nunique()
                assert (line.rate_low, line.rate_high) == pytest.approx(wilson(line.rate, line.effective_n, 0.9))
                middle = 2 ** np.log2(counts[inside]).mean() if low else 0
                assert line.middle == pytest.approx(middle)


def test_counts_of_nothing_have_a_bin_of_their_own(tables: dict[str, pd.DataFrame]) -> None:
    """Prevents texts that a way of counting does not find from being lost, or mixed with those it finds once."""
    table = tables["frequency_rates"].query("counting == 'other' and measure == 'sequence' and rows == 'natural'")
    assert table["from"].tolist() == [0, 1, 2, 4, 8, 16]
    assert table["to"].tolist() == [1, 2, 4, 8, 16, 32]


def test_token_frequencies_by_half_octaves(tables: dict[str, pd.DataFrame], rows: pd.DataFrame) -> None:
    """Prevents shares of the corpus from falling into one bin."""
    table = tables["frequency_rates"].query("counting == 'bytes' and measure == 'token_frequency'")
    assert (table["to"] / table["from"]).to_numpy() == pytest.approx(2**0.5)
    assert ((table["middle"] >= table["from"]) & (table["middle"] < table["to"])).all()
    assert table["n"].sum() == len(rows)


def test_planted_threshold_is_found(tables: dict[str, pd.DataFrame]) -> None:
    """Prevents a threshold at another count, a context's like a sequence's, and a shift of the wrong sign."""
    table = tables["thresholds"].set_index(["rows", "counting", "measure"])
    line = table.loc[("natural", "bytes", "sequence")]
    assert 3 <= line["threshold_low"] <= line["threshold"] <= line["threshold_high"] <= 12
    assert line["threshold_low"] < 8 < 2 * line["threshold_high"]
    assert line["floor"] == pytest.approx(0.1, abs=0.05)
    assert line["reached"] == 1
    assert (line["shift"], line["shift_low"], line["shift_high"]) == (0, 0, 0)
    context = table.loc[("natural", "bytes", "context")]
    assert context["threshold"] == pytest.approx(2 * line["threshold"])
    other = table.loc[("natural", "other", "sequence")]
    assert other["shift"] == pytest.approx(math.log2(other["threshold"] / line["threshold"]))
    assert -2.8 < other["shift_low"] <= other["shift"] <= other["shift_high"] < -1.7


def test_interval_resamples_texts(tmp_path: Path) -> None:
    """Prevents rows of one text from being drawn apart: with each text ten times the interval stays as wide.

    Unless it is about documents, of which there are ten times as many.
    """
    rows = rows_of(300, 4)
    rows = rows[rows["domain"] != "control"].drop_duplicates("sequence_id")
    many = pd.concat([rows.assign(row_id=rows["row_id"] + 10_000 * copy) for copy in range(10)])
    widths = []
    for name, part, estimand in (("once", rows, "texts"), ("often", many, "texts"), ("corpus", many, "corpus")):
        counted = [frequencies(tmp_path / f"{name}-f", part, "bytes", part["count"].tolist())]
        options = OPTIONS | {"countings": ["bytes"], "estimand": estimand}
        found = aggregated(tmp_path, [scores(tmp_path / name, part, "a-s", 10)], counted, options)["thresholds"]
        line = found.query("measure == 'sequence'").iloc[0]
        widths.append(line["threshold_high"] - line["threshold_low"])
    assert widths[1] == pytest.approx(widths[0], rel=1e-9)
    assert widths[2] < widths[1] / 2  # 20 times as many documents of the half of a corpus


def test_order_and_split_change_nothing(tmp_path: Path, rows: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> None:
    """Prevents the number of jobs, or the order of files and rows, from changing a table."""
    mixed = rows.sample(frac=1, random_state=3)
    counted = [frequencies(tmp_path / "x", mixed, "other", (mixed["count"] // 4).tolist())]
    counted += [frequencies(tmp_path / "y", rows, "bytes", rows["count"].tolist())]
    scored = [scores(tmp_path / f"p{i}", mixed[i::3], "a-s", 10) for i in (2, 0, 1)]
    for name, table in aggregated(tmp_path, scored, counted).items():
        pd.testing.assert_frame_equal(table, tables[name], check_exact=True)


def test_rows_that_were_not_counted(tmp_path: Path, rows: pd.DataFrame) -> None:
    """Prevents rows beyond the study's cap from being taken as never seen."""
    part = rows[rows.index % 2 == 0]
    counted = [frequencies(tmp_path / "f", part, "bytes", part["count"].tolist())]
    options = OPTIONS | {"countings": ["bytes"]}
    found = aggregated(tmp_path, [scores(tmp_path / "s", rows, "a-s", 10)], counted, options)
    assert found["frequency_rates"].query("measure == 'context'")["n"].sum() == len(part)
    assert len(found["countings"]) == 0
    assert found["thresholds"].query("measure == 'sequence'")["n"].sum() == len(part)


def test_a_rate_that_does_not_rise(tmp_path: Path) -> None:
    """Prevents a threshold where there is none; that is said by an infinite one, and by no shift."""
    rows = rows_of(400, 2).assign(hits=0)
    counted = [frequencies(tmp_path / name, rows, name, rows["count"].tolist()) for name in ("bytes", "other")]
    found = aggregated(tmp_path, [scores(tmp_path / "s", rows, "a-s", 10)], counted)["thresholds"]
    assert np.isinf(found[["threshold", "threshold_low", "threshold_high"]]).all(axis=None)
    assert (found["reached"] == 0).all()
    assert np.isnan(found[["shift", "shift_low", "shift_high"]]).all(axis=None)


def test_every_model_has_lines(tmp_path: Path, rows: pd.DataFrame) -> None:
    """Prevents one model's scores from standing in for another's."""
    counted = [frequencies(tmp_path / name, rows, name, rows["count"].tolist()) for name in ("bytes", "other")]
    scored = [scores(tmp_path / "s", rows, "a-s", 10), scores(tmp_path / "l", rows.assign(hits=STEPS), "a-l", 99)]
    found = aggregated(tmp_path, scored, counted)
    table = found["frequency_rates"]
    assert table.groupby("model")["parameters"].unique().map(list).to_dict() == {"a-s": [10], "a-l": [99]}
    assert (table[table["model"] == "a-l"]["rate"] == 1).all()
    assert (found["countings"]["equal"] == 1).all()
