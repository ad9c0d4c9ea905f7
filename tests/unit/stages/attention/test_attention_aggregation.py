"""Attention by class, place, layer and head, against numbers by hand; what is told of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS
from recite.errors import ReciteError
from recite.report.told import Told
from recite.stages.attention.figures.attention import draw
from recite.stages.attention.rows import ATTENDED
from recite.stages.attention.summarize import aggregate_attention
from recite.stages.attention.tables import ATTENTION, ATTENTION_HEADS, ATTENTION_LAYERS, INDUCTION, INDUCTION_OVERLAP
from recite.stages.attention.words import sections
from recite.stages.scoring.rows import SCORES
from recite.tables.lists import as_lists

STEPS, LAYERS, HEADS = 8, 2, 3
PLACES = ("first", "context 1/2", "context 2/2", "continuation", "itself")
EVEN = [0.05, 0.3, 0.3, 0.3, 0.05]
OPTIONS: dict[str, Any] = {
    "seed": 1,
    "corpora": {"a-s": "c"},
    "kinds": {"c": {"code": "structural", "prose": "free_text", "held": "held_out", "control": "planted"}},
    "estimand": "texts",
    "confidence": 0.9,
    "resamples": 300,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
    "margin_tolerance": {"float32": 0.1},
}
TABLES = (ATTENTION, ATTENTION_LAYERS, ATTENTION_HEADS)


class Study:
    """30 rows of code, of which 20 are memorized; 20 of prose, of which 10 are; 6 held out; 6 planted, 0 to 5 times."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        source = np.random.default_rng(7)
        self.table = pd.DataFrame({"row_id": source.permutation(10**6)[:62], "sequence_id": np.arange(62)})
        self.table["domain"] = ["code"] * 30 + ["prose"] * 20 + ["held"] * 6 + ["control"] * 6
        self.table["inclusion_probability"] = 0.5
        self.table["hits"] = 0
        self.table.loc[[*range(20), *range(30, 40), 61], "hits"] = STEPS
        mass = source.random((62, LAYERS, HEADS, len(PLACES)))
        self.mass = (mass / mass.sum(-1, keepdims=True)).astype(np.float32)
        self.lost = source.random((62, 4)).astype(np.float32)
        self.left = source.integers(0, STEPS, (62, 4))

    def scores(self) -> Path:
        lines, path = self.table.to_dict("list"), self.folder / "scores.parquet"
        made = {"first_mismatch": lines["hits"], "generated": [[1] * STEPS] * 62, "margin": [1.0] * 62}
        about = {"options": {"model": "a-s", "family": "a"}, "continuation_tokens": STEPS, "parameters": 10}
        SCORES.write(path, lines | made, about | {"dtype": "float32"})
        return path

    def attended(self, name: str, rows: np.ndarray, groups: list[str]) -> Path:
        path, clean = self.folder / f"{name}.parquet", self.table["hits"].to_numpy()[rows]
        part = self.table.iloc[rows].drop(columns="hits").to_dict("list")
        part |= {"group": groups, "drawn_share": [0.5] * len(rows), "clean_hits": clean}
        part |= {
            "clean_log_probability": np.full(len(rows), -4.0),
            "mass": as_lists(self.mass[rows].reshape(len(rows), -1)),
        }
        part |= {"log_probability": as_lists(-4 - self.lost[rows])}
        part |= {"hits": as_lists(np.minimum(self.left[rows], clean[:, None]).astype(np.uint8))}
        about = {"options": {"model": "a-s", "family": "a"}, "continuation_tokens": STEPS, "parameters": 10}
        about |= {"layers": LAYERS, "heads": HEADS, "places": PLACES, "even": EVEN}
        ATTENDED.write(path, part, about)
        return path

    def run(self, parts: list[tuple[np.ndarray, str]], options: dict[str, Any] = OPTIONS) -> dict[str, pd.DataFrame]:
        planted = self.table[self.table["domain"] == "control"].drop(columns="hits").to_dict("list")
        names, nothing = [f"control/{place}" for place in range(6)], [0] * 6
        empty = {"source_file": ["f"] * 6, "source_row": nothing, "window_start": nothing, "text": [b"x"] * 6}
        empty |= {"context_bytes": nothing, "context": [[1]] * 6, "continuation": [[1]] * 6}
        SAMPLES.write(self.folder / "samples.parquet", planted | empty | {"document_id": names}, {})
        CONTROLS.write(self.folder / "controls.parquet", {"document_id": names, "repetitions": range(6)}, {})
        attended = [self.attended(f"part-{k}", rows, [group] * len(rows)) for k, (rows, group) in enumerate(parts)]
        outputs = {table.name: self.folder / f"{table.name}.parquet" for table in TABLES}
        known = ([self.folder / "samples.parquet"], self.folder / "controls.parquet")
        aggregate_attention(options, [self.scores()], attended, *known, outputs)
        return {table.name: table.read(outputs[table.name]).to_pandas() for table in TABLES}


DRAWN = [
    (np.array([0, 3, 5, 7, 11]), "memorized"),
    (np.arange(30, 40), "memorized"),
    (np.array([20, 21, 41, 43, 44]), "unmemorized"),
    (np.array([50, 51, 53, 56]), "unseen"),
    (np.array([57, 58, 59]), "unmemorized"),
]


def test_means_by_hand(tmp_path: Path) -> None:
    """Five of code's memorized rows stand for twenty, all ten of prose's for ten: alike they would count too little."""
    study = Study(tmp_path)
    found = study.run(DRAWN)
    code, prose = DRAWN[0][0], DRAWN[1][0]

    def mean(values: np.ndarray) -> np.ndarray:
        return (20 * values[code].mean(axis=0) + 10 * values[prose].mean(axis=0)) / 30

    table = found["attention"]
    of = table[(table["rows"] == "natural") & (table["group"] == "memorized")].set_index("place").loc[list(PLACES)]
    assert of[["n", "drawn", "distinct"]].drop_duplicates().to_numpy().tolist() == [[30, 15, 15]]
    np.testing.assert_allclose(of["mass"], mean(study.mass).mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(of["log_probability_drop"][:4], mean(study.lost) / STEPS, atol=1e-6)
    np.testing.assert_allclose(of["hits_drop"][:4], mean(STEPS - study.left) / STEPS, atol=1e-6)
    assert np.isnan(of.loc["itself", ["hits_drop", "log_probability_drop", "hits_drop_low"]].astype(float)).all()
    assert of["even"].tolist() == EVEN
    layers = found["attention_layers"]
    of = layers[(layers["rows"] == "natural") & (layers["group"] == "memorized")]
    expected = mean(study.mass).mean(axis=1)
    for line in of.itertuples():
        assert line.mass == pytest.approx(expected[line.layer, PLACES.index(line.place)], abs=1e-6)
        assert line.depth == (line.layer + 1) / LAYERS
    heads = found["attention_heads"]
    assert set(heads["rows"]) == {"natural"} and len(heads) == 2 * LAYERS * HEADS * len(PLACES)
    for line in heads[heads["group"] == "memorized"].itertuples():
        value = mean(study.mass)[line.layer, line.head, PLACES.index(line.place)]
        assert line.mass == pytest.approx(value, abs=1e-6) and line.mass_low <= line.mass <= line.mass_high


def test_rows_of_no_copy_and_planted_ones(tmp_path: Path) -> None:
    """Those held out and those planted 0 times, whatever their score; planted ones of copies by class."""
    found = Study(tmp_path).run(DRAWN)["attention"]
    unseen = found[found["rows"] == "unseen"]
    assert set(unseen["group"]) == {"all"} and unseen[["n", "drawn"]].drop_duplicates().to_numpy().tolist() == [[7, 4]]
    planted = found[found["rows"] == "planted"]
    assert set(planted["group"]) == {"unmemorized"} and set(planted["drawn"]) == {3}
    assert set(found["rows"]) == {"natural", "planted", "unseen"}


def test_intervals_hold_resamples_without_a_domains_drawn_rows(tmp_path: Path) -> None:
    """Two rows of a domain are in one resample of seven not there: taken for 0 they would put the lower end near it."""
    study = Study(tmp_path)
    study.mass[:] = 0.2
    lines = study.run(DRAWN)["attention"]
    assert np.allclose(lines[["mass", "mass_low", "mass_high"]], 0.2)


def test_rows_of_other_scores_are_refused(tmp_path: Path) -> None:
    """Prevents rows that a model recited once, or a row of copies taken for an unseen one."""
    study = Study(tmp_path)
    for rows, group in ((np.array([0, 25]), "memorized"), (np.array([57]), "unseen")):
        with pytest.raises(ReciteError, match="holds rows that were drawn by other scores"):
            study.run([(rows, group)])


def test_what_is_told(tmp_path: Path) -> None:
    tables = Study(tmp_path).run(DRAWN)
    empty = {table.name: table.schema.empty_table().to_pandas() for table in (INDUCTION, INDUCTION_OVERLAP)}
    places, heads = sections(Told(tables | empty, None, []))
    line = next(line for line in places.splitlines() if line.startswith("| a-s | memorized |"))
    cells = line.split(" | ")
    table = tables["attention"]
    of = table[(table["rows"] == "natural") & (table["group"] == "memorized")].set_index("place")
    assert cells[2:4] == ["15", "15"] and cells[4] == f"{100 * of.loc['first', 'mass']:.1f}%"
    assert cells[5] == f"{100 * of.loc[['context 1/2', 'context 2/2'], 'mass'].sum():.1f}%"
    costliest = of.loc[["context 1/2", "context 2/2"], "log_probability_drop"].idxmax()
    assert cells[-2] == costliest.removeprefix("context ")
    assert cells[-3].startswith(f"{of.loc[costliest, 'log_probability_drop']:.2f} [")
    assert "| a-s | never trained on | 4 |" in places and heads == ""
    assert sections(Told({}, None, [])) == []
    figure, behind = draw(tables)
    assert set(behind["rows"]) == {"natural"} and sum(axes.get_visible() for axes in figure.axes) == 2
    assert len(draw({"attention": tables["attention"].iloc[:0]})[1]) == 0
