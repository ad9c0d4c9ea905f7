"""Drops, shares and depths of sublayers against pandas and by hand; order and split leave no mark."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recite.report.told import Told
from recite.stages.sublayers.figures.carried import draw as draw_carried
from recite.stages.sublayers.figures.sublayers import draw as draw_sublayers
from recite.stages.sublayers.rows import WITHOUT_SUBLAYERS
from recite.stages.sublayers.summarize import aggregate_sublayers
from recite.stages.sublayers.tables import CARRIED, SUBLAYERS
from recite.stages.sublayers.words import sections
from recite.tables.lists import as_lists

STEPS, LAYERS, ROWS = 8, 3, 120
KINDS = {"code": "structural", "prose": "free_text", "control": "planted"}
OPTIONS: dict[str, Any] = {
    "seed": 1,
    "corpora": {"a-s": "c"},
    "kinds": {"c": KINDS},
    "estimand": "texts",
    "confidence": 0.9,
    "resamples": 400,
}


class Lines:
    """Rows of recurring texts; what is lost of each is known."""

    def __init__(self, sampled: float = 0.5) -> None:
        source = np.random.default_rng(4)
        texts = np.sort(source.integers(0, ROWS // 2, ROWS))
        self.frame = pd.DataFrame({"row_id": source.permutation(ROWS), "sequence_id": texts})
        self.frame["domain"] = np.array([*KINDS])[texts % 3]
        self.frame["group"] = np.array(["memorized", "unmemorized"])[texts // 3 % 2]
        self.frame["inclusion_probability"], self.frame["drawn_share"] = sampled, sampled
        self.clean_hits = np.where(self.frame["group"] == "memorized", STEPS, 0)
        lost = source.binomial(STEPS, [0.8, 0.6, 0.1, 0.5, 0.0, 0.3], (ROWS, 2 * LAYERS))
        self.hits = (self.clean_hits[:, None] - lost).clip(min=0)
        self.clean = source.normal(-9, 1, ROWS).astype(np.float32)
        self.likely = (self.clean[:, None] - source.normal([4, 3, 0, 2, -1, 1], 1, (ROWS, 2 * LAYERS))).astype(
            np.float32
        )

    def write(self, folder: Path, order: np.ndarray, parts: int = 1) -> list[Path]:
        folder.mkdir(exist_ok=True)
        paths = []
        about = {"options": {"model": "a-s", "family": "a"}, "parameters": 9, "continuation_tokens": STEPS}
        for number, rows in enumerate(np.array_split(order, parts)):
            columns = self.frame.iloc[rows].to_dict("list") | {"clean_hits": self.clean_hits[rows].tolist()}
            columns |= {"clean_log_probability": self.clean[rows].tolist()}
            columns |= {"hits": as_lists(self.hits[rows].astype(np.uint8))}
            columns |= {"log_probability": as_lists(self.likely[rows])}
            paths.append(folder / f"{number}.parquet")
            WITHOUT_SUBLAYERS.write(paths[-1], columns, about)
        return paths


def aggregated(folder: Path, paths: list[Path], **changes: Any) -> dict[str, pd.DataFrame]:
    outputs = {table.name: folder / f"{table.name}.parquet" for table in (SUBLAYERS, CARRIED)}
    aggregate_sublayers(OPTIONS | changes, paths, outputs)
    return {table.name: table.read(outputs[table.name]).to_pandas() for table in (SUBLAYERS, CARRIED)}


def test_drops_by_brute_force(tmp_path: Path) -> None:
    """Drops of another sublayer, of other rows or the wrong way round; q-values over other tests."""
    lines = Lines()
    table = aggregated(tmp_path, lines.write(tmp_path, np.arange(ROWS)))["sublayers"]
    assert len(table) == 2 * (2 + 3) * 2 * LAYERS
    kinds = lines.frame["domain"].map(lambda domain: "planted" if domain == "control" else "natural")
    lost = {"hits": lines.clean_hits[:, None] - lines.hits, "log_probability": lines.clean[:, None] - lines.likely}
    for (group, kind, domain), part in table.groupby(["group", "rows", "domain"]):
        here = (lines.frame["group"] == group) & (kinds == kind)
        here &= (lines.frame["domain"] == domain) | (domain == "all")
        assert (part["n"] == here.sum()).all()
        assert (part["distinct"] == lines.frame["sequence_id"][here].nunique()).all()
        part = part.sort_values(["layer", "sublayer"])
        assert part["sublayer"].tolist() == ["attention", "mlp"] * LAYERS
        assert part["depth"].tolist() == pytest.approx(np.repeat([1 / 3, 2 / 3, 1], 2))
        for name, values in lost.items():
            np.testing.assert_allclose(part[f"{name}_drop"], values[here].mean(axis=0) / STEPS, atol=1e-6)
            assert (part[f"{name}_drop_low"] <= part[f"{name}_drop"] + 1e-12).all()
            adjusted = stats.false_discovery_control(part[f"{name}_drop_p_value"])
            np.testing.assert_allclose(part[f"{name}_drop_q_value"], adjusted)
    memorized = table[(table["group"] == "memorized") & (table["rows"] == "natural") & (table["domain"] == "all")]
    by_place = memorized.sort_values(["layer", "sublayer"])
    assert by_place["hits_drop_q_value"].iloc[0] < 0.02 < by_place["hits_drop_q_value"].iloc[4]


def test_what_carries_recall(tmp_path: Path) -> None:
    """A share of something else, or a depth that counts what is in the way."""
    lines = Lines()
    table = aggregated(tmp_path, lines.write(tmp_path, np.arange(ROWS)))["carried"]
    here = ((lines.frame["group"] == "memorized") & (lines.frame["domain"] != "control")).to_numpy()
    chosen = (table["group"] == "memorized") & (table["rows"] == "natural") & (table["domain"] == "all")
    found = table[chosen].set_index("measure")
    lost = {"hits": lines.clean_hits[:, None] - lines.hits, "log_probability": lines.clean[:, None] - lines.likely}
    for measure, values in lost.items():
        drops = (values[here].mean(axis=0) / STEPS).reshape(LAYERS, 2)
        line = found.loc[measure]
        assert line["attention_sum"] == pytest.approx(drops[:, 0].sum(), abs=1e-6)
        assert line["mlp_sum"] == pytest.approx(drops[:, 1].sum(), abs=1e-6)
        assert line["mlp_share"] == pytest.approx(drops[:, 1].sum() / drops.sum(), abs=1e-6)
        assert line["mlp_share_low"] < line["mlp_share"] < line["mlp_share_high"]
        for place, name in enumerate(("attention", "mlp")):
            positive = drops[:, place].clip(min=0)
            assert line[f"{name}_depth"] == pytest.approx(positive @ [1 / 3, 2 / 3, 1] / positive.sum(), abs=1e-6)
    assert found.loc["log_probability", "attention_depth"] < 0.4


def test_order_and_split_change_nothing(tmp_path: Path) -> None:
    lines = Lines()
    whole = aggregated(tmp_path, lines.write(tmp_path / "whole", np.arange(ROWS)))
    shuffled = np.random.default_rng(2).permutation(ROWS)
    parts = aggregated(tmp_path, lines.write(tmp_path / "parts", shuffled, parts=3))
    for name, table in whole.items():
        pd.testing.assert_frame_equal(table, parts[name], rtol=1e-12)


def test_a_census_has_no_sampling_error(tmp_path: Path) -> None:
    """A sample of a class that is taken for all of it, and the other way round."""
    width = {}
    for sampled in (1.0, 0.5):
        paths = Lines(sampled).write(tmp_path, np.arange(ROWS))
        table = aggregated(tmp_path, paths, estimand="corpus")["sublayers"]
        table = table[table["rows"] == "natural"]
        width[sampled] = (table["hits_drop_high"] - table["hits_drop_low"]).max()
    assert width[1.0] == pytest.approx(0, abs=1e-12) and width[0.5] > 0.05


def test_what_is_told_and_drawn(tmp_path: Path) -> None:
    tables = aggregated(tmp_path, Lines().write(tmp_path, np.arange(ROWS)))
    (text,) = sections(Told(tables, None, ()))
    line = next(line for line in text.splitlines() if line.startswith("| a-s | memorized") and "| hits |" in line)
    assert "attention of layer 0" in line
    assert not any("unmemorized" in line and "| hits |" in line for line in text.splitlines())
    assert line.split(" | ")[5] == "–"
    drops = [0.25, 0.5, 0.125]
    one = {"model": "a-s", "group": "memorized", "rows": "natural", "domain": "all", "heads": 3}
    heads = pd.DataFrame([one | {"hits_drop": drop, "log_probability_drop": 2 * drop} for drop in drops])
    for table, cell in ((heads, ["0.88", "1.75"]), (heads[:2], ["–", "–"])):
        (text,) = sections(Told(tables | {"heads": table}, None, ()))
        lines = [line for line in text.splitlines() if line.startswith("| a-s | memorized")]
        assert [line.split(" | ")[5] for line in lines] == cell
    for draw, shown in ((draw_sublayers, {"memorized", "unmemorized"}), (draw_carried, {"memorized"})):
        _, behind = draw(tables)
        assert set(behind["group"]) == shown and (behind["rows"] == "natural").all()
        nothing = {name: table[table["rows"] == "planted"] for name, table in tables.items()}
        assert draw(nothing)[1].empty
