"""Recall against damage by brute force and in closed form; what is told and drawn."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.report.told import Told
from recite.stages.erasing.figures.erasing import draw
from recite.stages.erasing.rows import DAMAGED, RECALLED, Rung
from recite.stages.erasing.summarize import aggregate_erasing, at_damage
from recite.stages.erasing.tables import ERASED, ERASING
from recite.stages.erasing.words import sections
from recite.tables.lists import as_lists

STEPS, ROWS, OTHERS = 8, 60, 80
RUNGS = [
    Rung("noise", "", 0.5, 0.0),
    Rung("noise", "", 0.2, 0.0),
    Rung("heads", "ranked", 1, 0.1),
    Rung("heads", "ranked", 4, 0.4),
    Rung("heads", "random", 4, 0.4),
    Rung("neurons", "ranked", 100, 0.2),
]
LEFT = [0.5, 0.9, 0.8, 0.3, 0.95, 0.1]
"""Of recall at each rung, on average."""
LOST = [0.6, 0.2, 0.3, 0.9, 0.8, 0.4]
"""Nats that others lose a token."""
OPTIONS: dict[str, Any] = {
    "seed": 1,
    "corpora": {"a-s": "c"},
    "kinds": {"c": {"code": "structural", "prose": "free_text", "control": "planted", "held": "held_out"}},
    "estimand": "texts",
    "confidence": 0.9,
    "resamples": 300,
    "damages": [0.1, 0.35, 0.7, 5.0],
}


class Lines:
    """Memorized rows of recurring texts, and others; what is left and lost at each rung is known on average."""

    def __init__(self) -> None:
        source = np.random.default_rng(6)
        texts = np.sort(source.integers(0, ROWS // 2, ROWS))
        self.memorized = pd.DataFrame({"row_id": source.permutation(ROWS), "sequence_id": texts})
        self.memorized["domain"] = np.array(["code", "prose", "control"])[texts % 3]
        self.others = pd.DataFrame(
            {"row_id": ROWS + source.permutation(OTHERS), "sequence_id": 900 + np.arange(OTHERS)}
        )
        self.others["domain"] = np.array(["code", "held", "control", "prose"])[np.arange(OTHERS) % 4]
        for table in (self.memorized, self.others):
            table["inclusion_probability"], table["drawn_share"] = 0.5, 0.5
        self.hits = source.binomial(STEPS, LEFT, (ROWS, len(RUNGS)))
        self.hits[:10, 0] = STEPS
        self.clean = source.normal(-20, 2, OTHERS).astype(np.float32)
        self.likely = (self.clean[:, None] - STEPS * source.normal(LOST, 0.05, (OTHERS, len(RUNGS)))).astype(np.float32)

    def write(self, folder: Path, order: bool = True, rungs: list[Rung] = RUNGS) -> tuple[list[Path], list[Path]]:
        about = {"options": {"model": "a-s", "family": "a"}, "parameters": 9, "continuation_tokens": STEPS}
        about |= {"rungs": [list(rung) for rung in rungs]}
        paths = folder / f"recalled-{order}.parquet", folder / f"damaged-{order}.parquet"
        count, step = len(rungs), 1 if order else -1
        columns = self.memorized[::step].to_dict("list") | {"clean_hits": [STEPS] * ROWS}
        RECALLED.write(paths[0], columns | {"hits": as_lists(self.hits[::step, :count].astype(np.uint8))}, about)
        columns = self.others[::step].to_dict("list") | {"clean_log_probability": self.clean[::step].tolist()}
        DAMAGED.write(paths[1], columns | {"log_probability": as_lists(self.likely[::step, :count])}, about)
        return [paths[0]], [paths[1]]


def aggregated(folder: Path, paths: tuple[list[Path], list[Path]]) -> dict[str, pd.DataFrame]:
    outputs = {table.name: folder / f"{table.name}.parquet" for table in (ERASING, ERASED)}
    aggregate_erasing(OPTIONS, *paths, outputs)
    return {table.name: table.read(outputs[table.name]).to_pandas() for table in (ERASING, ERASED)}


def test_curves_by_brute_force(tmp_path: Path) -> None:
    """A rung's numbers under another's name, other rows that are left out, or planted rows among the natural."""
    lines = Lines()
    table = aggregated(tmp_path, lines.write(tmp_path))["erasing"]
    damage = ((lines.clean[:, None] - lines.likely) / STEPS).mean(axis=0)
    ladders = len({(rung.intervention, rung.order) for rung in RUNGS})
    assert len(table) == 2 * (len(RUNGS) + ladders)
    for kind, here in (
        ("planted", lines.memorized["domain"] == "control"),
        ("natural", lines.memorized["domain"] != "control"),
    ):
        part = table[table["rows"] == kind].set_index(["intervention", "order", "strength"])
        assert (part["n"] == here.sum()).all() and (part["others"] == OTHERS).all()
        assert (part["distinct"] == lines.memorized["sequence_id"][here].nunique()).all()
        for column, rung in enumerate(RUNGS):
            line = part.loc[rung.intervention, rung.order, rung.strength]
            hits = lines.hits[here, column]
            assert line["recall"] == pytest.approx(hits.mean() / STEPS)
            assert line["recited"] == pytest.approx((hits == STEPS).mean())
            assert line["damage"] == pytest.approx(damage[column], abs=1e-5) and line["share"] == rung.share
            for name in ("recall", "damage"):
                assert line[f"{name}_low"] < line[name] < line[f"{name}_high"]
        foot = part.xs(0.0, level="strength")
        assert len(foot) == ladders and (foot["recall"] == 1).all() and (foot["damage"] == 0).all()


def test_recall_at_a_damage() -> None:
    """The first crossing, the straight line to it, and none beyond the last rung."""
    damage = np.array([[0, 0.2, 0.6, 0.4, 1.0], [0, 0.4, 0.1, 0.2, 0.8]])
    values = np.array([[1, 0.9, 0.5, 0.4, 0.0], [1, 0.6, 0.5, 0.3, 0.2]])
    np.testing.assert_allclose(at_damage(damage, values, 0.1), [0.95, 0.9])
    np.testing.assert_allclose(at_damage(damage, values, 0.4), [0.7, 0.6])
    np.testing.assert_allclose(at_damage(damage, values, 0.7), [0.2, 0.2 + 0.1 / 6])
    assert np.isnan(at_damage(damage, values, 0.9)).all()  # one of two resamples is too few
    many = np.repeat(damage, [40, 1], axis=0)
    found = at_damage(many, np.repeat(values, [40, 1], axis=0), 0.9)
    assert found[:40] == pytest.approx(0.4 / 6) and np.isnan(found[40])
    assert np.isnan(at_damage(many[::-1], np.repeat(values, [40, 1], axis=0)[::-1], 0.9)).all()  # not as seen


def test_equal_damage(tmp_path: Path) -> None:
    """Ladders in the order in which they were run, an intervention beside itself, a damage that is not done."""
    lines = Lines()
    tables = aggregated(tmp_path, lines.write(tmp_path))
    curves, table = tables["erasing"], tables["erased"]
    for kind in ("natural", "planted"):
        points = curves[curves["rows"] == kind]
        found = table[table["rows"] == kind].set_index(["intervention", "order", "damage"])
        for (name, order), part in points.groupby(["intervention", "order"]):
            part = part.sort_values("strength")
            for wanted in OPTIONS["damages"][:3]:
                line = found.loc[name, order, wanted]
                if part["damage"].max() > wanted:
                    expected = np.interp(wanted, part["damage"], part["recall"])
                    assert line["recall"] == pytest.approx(expected)
                    assert line["recall_low"] < line["recall"] < line["recall_high"]
                else:
                    assert np.isnan(line["recall"]) and np.isnan(line["recall_low"])
        ranked = found.loc["heads", "ranked", 0.35]
        less = (
            found.loc[
                "noise",
                "",
                0.35,
            ]["recall"]
            - ranked["recall"]
        )
        assert ranked["below_noise"] == pytest.approx(less)
        assert ranked["below_noise_low"] < less < ranked["below_noise_high"]
        assert ranked["below_random"] == pytest.approx(found.loc["heads", "random", 0.35]["recall"] - ranked["recall"])
        assert np.isnan(found.loc["noise", "", 0.35]["below_noise"])
        assert np.isnan(found.loc["heads", "random", 0.35]["below_random"])
        assert np.isnan(found.loc["neurons", "ranked", 0.35]["below_random"])
        assert found.xs(5.0, level="damage")["recall"].isna().all()
        best = found.xs(0.35, level="damage")["recall"].idxmin()
        assert best == ("neurons", "ranked")


def test_order_changes_nothing(tmp_path: Path) -> None:
    whole, turned = (aggregated(tmp_path, Lines().write(tmp_path, order)) for order in (True, False))
    for name, table in whole.items():
        pd.testing.assert_frame_equal(table, turned[name], rtol=1e-12)


def test_both_groups_are_resampled_together(tmp_path: Path) -> None:
    """A document that counts twice for recall counts twice for damage: else there would be an interval."""
    lines = Lines()
    lines.others = lines.memorized.copy()
    lines.clean = np.full(ROWS, -20, np.float32)
    lost = 1 - lines.hits / STEPS  # what is lost of either is the same, row by row
    lines.likely = (lines.clean[:, None] - STEPS * lost).astype(np.float32)
    lines.memorized["domain"], lines.others["domain"] = "code", "code"
    table = aggregated(tmp_path, lines.write(tmp_path))["erased"]
    table = table[table["recall"].notna()]
    np.testing.assert_allclose(table["recall"], 1 - table["damage"], atol=1e-6)
    np.testing.assert_allclose(table["recall_high"] - table["recall_low"], 0, atol=1e-6)
    assert len(table) > 5


def test_nothing_to_rank_or_too_few_texts(tmp_path: Path) -> None:
    lines = Lines()
    for table in aggregated(tmp_path, lines.write(tmp_path, rungs=[])).values():
        assert table.empty
    lines.memorized["sequence_id"] = 3
    for table in aggregated(tmp_path, lines.write(tmp_path)).values():
        assert table.empty


def test_what_is_told_and_drawn(tmp_path: Path) -> None:
    tables = aggregated(tmp_path, Lines().write(tmp_path))
    (text,) = sections(Told(tables, None, ()))
    at = [line for line in text.splitlines() if line.startswith("| a-s | natural") and "| 0.35 |" in line]
    assert [line.split(" | ")[4] for line in at] == ["neurons", "heads", "noise", "heads at random"]
    assert "Least is left by neurons in 2 of 3 comparisons" in text
    _, behind = draw(tables)
    assert set(behind["rows"]) == {"natural"}
    planted = {name: table[table["rows"] == "planted"] for name, table in tables.items()}
    assert set(draw(planted)[1]["rows"]) == {"planted"}
    assert draw({name: table[:0] for name, table in tables.items()})[1].empty
    assert sections(Told({"erased": tables["erased"][:0]}, None, ())) == [""]
