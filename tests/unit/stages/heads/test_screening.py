"""Screening as a stage: means by domain, and an ablation of those heads alone that it puts forward."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_head_effects import HEADS, LAYERS, STEPS, drawn, job, sample, shards
from torch import Tensor

from recite.checkpoints.loading import load_checkpoint
from recite.stages.heads.measure.ablation import measure_heads, measure_means
from recite.stages.heads.measure.attribution import estimated_changes
from recite.stages.heads.measure.screening import screen_heads
from recite.stages.heads.rows import ABLATED, SCREENED
from recite.stages.heads.shortlist import count_of, first, shortlist
from recite.tables import read_metadata
from recite.tables.lists import as_array

__all__ = ["drawn", "shards"]
KINDS = {"code": "structural", "prose": "planted", "licences": "free_text"}


@pytest.fixture
def weights(checkpoint_folder: Callable[[str], Path]) -> Path:
    return checkpoint_folder("olmo2") / "model.safetensors"


@pytest.fixture
def screened(tmp_path: Path, shards: list[Path], drawn: Path, weights: Path) -> Path:
    path = tmp_path / "screened.parquet"
    screen_heads(job(kinds=KINDS, batch_rows=16), shards, [drawn], weights, None, path, threads=1)
    return path


def test_the_stage(screened: Path, weights: Path, context: Tensor) -> None:
    """Prevents rows beyond those asked for, planted rows among the natural ones, and heads out of their order."""
    rows, chosen = sample(context), [0, 1, 2, 4, 5, 6, 7]
    text = torch.cat([rows.context, rows.continuation], dim=1)[chosen]
    estimates = estimated_changes(load_checkpoint(weights, "float32", 4), text, STEPS, 16, range(LAYERS)).double()
    table = SCREENED.read(screened).to_pandas()
    assert list(dict.fromkeys(table["domain"])) == ["all", "code", "prose"]
    for domain, part in (("all", slice(0, 3)), ("code", slice(0, 3)), ("prose", slice(3, 7))):
        found = table[table["domain"] == domain]
        assert (found["n"] == part.stop - part.start).all()
        assert found[["layer", "head"]].to_numpy().tolist() == [list(divmod(n, HEADS)) for n in range(LAYERS * HEADS)]
        np.testing.assert_allclose(found["estimate"], estimates[part].mean(dim=0).flatten(), rtol=1e-6, atol=1e-7)


def test_same_bytes(screened: Path, tmp_path: Path, shards: list[Path], drawn: Path, weights: Path) -> None:
    again = tmp_path / "again.parquet"
    screen_heads(job(kinds=KINDS, batch_rows=16), shards, [drawn], weights, None, again, threads=1)
    assert again.read_bytes() == screened.read_bytes()


@pytest.mark.parametrize("by", ["zero", "dataset_mean", "resample"])
def test_estimates_of_the_replacement(
    tmp_path: Path, screened: Path, shards: list[Path], drawn: Path, weights: Path, by: str
) -> None:
    """Prevents heads that are screened by another replacement than that which then ablates them."""
    means = tmp_path / "means.parquet"
    measure_means(job(), shards, [drawn], weights, means, threads=1)
    given = means if by == "dataset_mean" else None
    path, options = tmp_path / "other.parquet", job(kinds=KINDS, batch_rows=16, replacement=by, seed=3)
    screen_heads(options, shards, [drawn], weights, given, path, threads=1)
    measure_heads(options, shards, [drawn], weights, given, None, tmp_path / "ablated.parquet", threads=1)
    table = SCREENED.read(path).to_pandas()
    estimates = as_array(ABLATED.read(tmp_path / "ablated.parquet")["estimate"]).astype(float)
    code = table.loc[table["domain"] == "code", "estimate"]
    np.testing.assert_allclose(code, estimates[:3].mean(axis=0), rtol=1e-6, atol=1e-7)
    plain = SCREENED.read(screened).to_pandas()
    assert not np.allclose(code, plain.loc[plain["domain"] == "code", "estimate"], atol=1e-2)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_only_what_is_put_forward_is_ablated(
    tmp_path: Path, screened: Path, shards: list[Path], drawn: Path, weights: Path, share: float
) -> None:
    """Prevents heads under another layer's numbers, those of one domain alone, and other numbers than without."""
    whole, path = tmp_path / "whole.parquet", tmp_path / "some.parquet"
    measure_heads(job(), shards, [drawn], weights, None, None, whole, threads=1)
    table = SCREENED.read(screened).to_pandas()
    tops = [
        set(part.reset_index(drop=True)["estimate"].nlargest(round(share * LAYERS * HEADS)).index)
        for _, part in table.groupby("domain")
    ]
    expected = sorted(set.union(*tops))
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("hits", "log_probability")}
    seen: list[int] = []
    for layers in ([0, 1], [1, 3]):
        measure_heads(job(layers=layers, share=share), shards, [drawn], weights, None, screened, path, threads=1)
        made: dict[str, Any] = read_metadata(path)
        assert made["ablated_of_model"] == len(expected) < LAYERS * HEADS
        seen += made["ablated"]
        for name, parts in found.items():
            parts.append(as_array(ABLATED.read(path)[name]))
    assert seen == expected
    for name, parts in found.items():
        together, all_heads = np.concatenate(parts, axis=1), as_array(ABLATED.read(whole)[name])
        assert np.array_equal(together, all_heads[:, expected])


def test_a_block_without_heads(tmp_path: Path, shards: list[Path], drawn: Path, weights: Path) -> None:
    """Prevents a layer none of whose heads is put forward from failing its job."""
    count, path = LAYERS * HEADS, tmp_path / "screened.parquet"
    columns: dict[str, list[Any]] = {"domain": ["all"] * count, "n": [7] * count}
    columns |= {"layer": [n // HEADS for n in range(count)], "head": [n % HEADS for n in range(count)]}
    SCREENED.write(path, columns | {"estimate": [float(-n) for n in range(count)]}, {})
    measure_heads(
        job(layers=[2, 3], share=0.3), shards, [drawn], weights, None, path, tmp_path / "a.parquet", threads=1
    )
    table = ABLATED.read(tmp_path / "a.parquet")
    assert as_array(table["hits"]).shape == (7, 0) and len(set(table["clean_hits"].to_pylist())) >= 1
    assert read_metadata(tmp_path / "a.parquet")["ablated"] == []


def test_shortlist() -> None:
    """Prevents a mean over groups, absolute values, and an order among equals that is left to chance."""
    one, other = np.array([5.0, 4, 0, 0, -9]), np.array([0.0, 0, 0, 1, 2])
    assert shortlist([one], 0.4).tolist() == [0, 1]
    assert shortlist([one, other], 0.4).tolist() == [0, 1, 3, 4]
    assert first(np.array([[1.0, 1, 1, 2]]), 2).tolist() == [[True, False, False, True]]
    assert (count_of(0.2, 48), count_of(0.2, 2), count_of(0.5, 9)) == (10, 1, 4)
