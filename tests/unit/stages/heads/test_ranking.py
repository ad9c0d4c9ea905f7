"""The ranking of heads against pandas and planted heads; order, split and blocks of layers leave no mark."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ablated import COUNT, HEADS_OF_A_LAYER, KINDS, LAYERS, ROWS, STEPS, Rows, options_of, write_ablated
from recite.errors import ReciteError
from recite.stages.heads.summarize.ranking import aggregate_ablation
from recite.stages.heads.tables import HEADS


def aggregated(folder: Path, paths: list[Path]) -> pd.DataFrame:
    aggregate_ablation(options_of(KINDS), paths, {"heads": folder / "heads.parquet"})
    return HEADS.read(folder / "heads.parquet").to_pandas()


def test_means_by_brute_force(tmp_path: Path) -> None:
    """Prevents drops of another head or of other rows, sums in place of means, and drops the wrong way round."""
    rows = Rows()
    table = aggregated(tmp_path, write_ablated(tmp_path, rows))
    domain = rows.frame["domain"]
    groups = {("natural", "all"): domain != "control", ("planted", "all"): domain == "control"}
    groups |= {("planted" if name == "control" else "natural", name): domain == name for name in KINDS}
    assert set(zip(table["rows"], table["domain"], strict=True)) == set(groups)
    for (kind, name), chosen in groups.items():
        part = table[(table["rows"] == kind) & (table["domain"] == name)].sort_values(["layer", "head"])
        assert len(part) == COUNT
        assert (part["n"] == chosen.sum()).all()
        assert (part["distinct"] == rows.frame["sequence_id"][chosen].nunique()).all()
        assert part["depth"].tolist() == pytest.approx(np.repeat([1 / 3, 2 / 3, 1], HEADS_OF_A_LAYER))
        hits = (rows.clean_hits[:, None] - rows.hits)[chosen].mean(axis=0) / STEPS
        log_probability = (rows.clean[:, None] - rows.log_probability)[chosen].mean(axis=0) / STEPS
        np.testing.assert_allclose(part["hits_drop"], hits, rtol=1e-9)
        np.testing.assert_allclose(part["log_probability_drop"], log_probability, rtol=1e-4)
        for statistic in ("hits_drop", "log_probability_drop"):
            assert (part[f"{statistic}_low"] < part[statistic]).all()
            assert (part[statistic] < part[f"{statistic}_high"]).all()


def test_ranks(tmp_path: Path) -> None:
    """Prevents ranks over several groups, from the smallest, or that leave ties open."""
    rows = Rows()
    rows.hits[:, :3] = rows.clean_hits[:, None]  # three heads that cost no hit
    table = aggregated(tmp_path, write_ablated(tmp_path, rows))
    for _, part in table.groupby(["rows", "domain"]):
        ordered = part.sort_values(["hits_drop", "log_probability_drop"], ascending=False)
        assert ordered["rank"].tolist() == list(range(1, COUNT + 1))


def test_intervals_take_equal_texts_as_one(tmp_path: Path) -> None:
    """Prevents rows of one text from counting as so many observations: every row twice makes no interval narrower."""
    rows, twice = Rows(), Rows()
    twice.frame = pd.concat([rows.frame, rows.frame.assign(row_id=rows.frame["row_id"] + ROWS)], ignore_index=True)
    for name in ("clean_hits", "clean", "hits", "log_probability", "estimate"):
        setattr(twice, name, np.concatenate([getattr(rows, name)] * 2))
    once, again = (
        aggregated(tmp_path, write_ablated(tmp_path / name, one, keep=keep))
        for name, one, keep in (("once", rows, ROWS), ("twice", twice, 2 * ROWS))
    )
    for end in ("low", "high"):
        np.testing.assert_allclose(once[f"hits_drop_{end}"], again[f"hits_drop_{end}"], rtol=1e-9)


@pytest.mark.parametrize(("parts", "step"), [(3, LAYERS), (1, 1), (2, 2)])
def test_order_split_and_blocks_change_nothing(tmp_path: Path, parts: int, step: int) -> None:
    """Prevents the number of jobs, or the order of their files, from changing the table."""
    whole = aggregated(tmp_path, write_ablated(tmp_path / "whole", Rows()))
    paths = write_ablated(tmp_path / "parts", Rows(), parts=parts, step=step)
    pd.testing.assert_frame_equal(aggregated(tmp_path, paths[::-1]), whole, check_exact=False, rtol=1e-12)


@pytest.mark.parametrize("step", [LAYERS, 1])
def test_heads_that_were_screened(tmp_path: Path, step: int) -> None:
    """Prevents a head's numbers under another one's, where some, or all of a layer, are left out."""
    whole = aggregated(tmp_path, write_ablated(tmp_path / "whole", Rows()))
    kept = [0, 1, 5]
    found = aggregated(tmp_path, write_ablated(tmp_path / "few", Rows(), step=step, heads=kept, share=0.5))
    expected = whole[(HEADS_OF_A_LAYER * whole["layer"] + whole["head"]).isin(kept)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.drop(columns="rank"), expected.drop(columns="rank"), rtol=1e-12)
    assert (found["heads"] == COUNT).all()
    for _, part in found.groupby(["rows", "domain"]):
        assert sorted(part["rank"]) == [1, 2, 3]


def test_a_screened_head_that_is_missing(tmp_path: Path) -> None:
    """Prevents a block that was lost from passing for one without heads that matter."""
    paths = write_ablated(tmp_path, Rows(), step=1, heads=[0, 1, 5], share=0.5)
    with pytest.raises(ReciteError, match="the layers of a-s were not all ablated on the same rows; delete them"):
        aggregated(tmp_path, paths[:2])


def test_two_models(tmp_path: Path) -> None:
    """Prevents one model's rows from entering another one's means."""
    alone = aggregated(tmp_path, write_ablated(tmp_path, Rows(7), "b-s"))
    table = aggregated(tmp_path, [*write_ablated(tmp_path, Rows(), "a-s"), *write_ablated(tmp_path, Rows(7), "b-s")])
    pd.testing.assert_frame_equal(table[table["model"] == "b-s"].reset_index(drop=True), alone)


def test_layers_of_other_rows(tmp_path: Path) -> None:
    """Prevents heads of one model from being compared on different rows, and missing layers from passing."""
    first, second, third = write_ablated(tmp_path / "all", Rows(), step=1)
    few = write_ablated(tmp_path / "few", Rows(), step=1, keep=ROWS - 1)
    for paths in ([first, few[1], third], [first, second], [second, third]):
        with pytest.raises(ReciteError, match="the layers of a-s were not all ablated on the same rows; delete them"):
            aggregated(tmp_path, paths)
