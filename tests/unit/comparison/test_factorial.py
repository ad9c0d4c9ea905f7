"""recite.comparison.factorial.summarize: sums of squares against a least-squares fit, shares against planted truths."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.comparison.factorial.summarize import (
    FACTORS,
    degrees,
    explain_signatures,
    factor_lines,
    shapes,
    shares,
    sums_of_squares,
)
from recite.comparison.factorial.tables import FACTORIAL
from recite.comparison.signatures.tables import SIGNATURES
from recite.errors import ReciteError

OPTIONS: dict[str, Any] = {"seed": 3, "confidence": 0.95, "resamples": 200}
SHAPE = (3, 4, 2)
DEPTHS = 20


def profiles(shape: tuple[int, int, int], scales: tuple[float, float, float, float], seed: int) -> np.ndarray:
    """Profiles with effects of architecture, recipe, both and seed of these standard deviations at every depth."""
    source = np.random.default_rng(seed)
    a, r, s = shape
    sides = [(a, 1, 1), (1, r, 1), (a, r, 1), (a, r, s)]
    effects = [scale * source.normal(size=(*side, DEPTHS)) for scale, side in zip(scales, sides, strict=True)]
    effects[2] -= effects[2].mean(axis=0, keepdims=True)
    effects[2] -= effects[2].mean(axis=1, keepdims=True)
    return sum(effects, np.zeros((*shape, DEPTHS)))


def test_sums_of_squares_are_those_of_a_fit() -> None:
    """Residual sums of squares of nested linear models, by least squares on indicator columns."""
    values = profiles(SHAPE, (1.0, 0.5, 0.3, 0.2), seed=1)
    places = list(product(*map(range, SHAPE)))
    y = values.reshape(-1, DEPTHS)

    def left(*columns: list[Any]) -> float:
        design = np.column_stack([np.ones(len(y)), *(pd.get_dummies(column).to_numpy(float) for column in columns)])
        fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
        return float(((y - fitted) ** 2).sum())

    a, r = [place[0] for place in places], [place[1] for place in places]
    cells = [f"{x}{z}" for x, z in zip(a, r, strict=True)]
    expected = [left() - left(a), left(a) - left(a, r), left(a, r) - left(cells), left(cells)]
    found = sums_of_squares(values)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(found.sum(), ((y - y.mean(axis=0)) ** 2).sum())
    assert degrees(SHAPE).tolist() == [2, 3, 6, 12]


def test_shares_are_unbiased_where_nothing_matters() -> None:
    """omega^2 of pure noise is zero on average; the plain share of the sums of squares is not."""
    drawn = np.array([sums_of_squares(profiles(SHAPE, (0, 0, 0, 1), seed)) for seed in range(300)])
    found = shares(drawn, degrees(SHAPE)).mean(axis=0)
    np.testing.assert_allclose(found, [0, 0, 0, 1], atol=0.01)
    assert (drawn[:, 0] / drawn.sum(axis=1)).mean() > 0.05


@pytest.mark.parametrize("factor", [0, 1, 2])
def test_the_planted_factor_is_found(factor: int) -> None:
    """Prevents architecture and recipe from changing places."""
    scales = [0.0, 0.0, 0.0, 0.2]
    scales[factor] = 1.0
    lines = factor_lines(
        profiles(SHAPE, (scales[0], scales[1], scales[2], scales[3]), seed=5), OPTIONS, np.random.default_rng(1)
    )
    assert [line["factor"] for line in lines] == list(FACTORS)
    assert lines[factor]["share"] > 0.85 and lines[factor]["share_low"] > 0.8
    assert sum(line["share"] for line in lines) == pytest.approx(1)
    for other in {0, 1} - {factor}:
        assert abs(lines[other]["share"]) < 0.12
    for place in (0, 1):
        assert (lines[place]["p_value"] < 0.02) == (place == factor)
        assert lines[place]["p_value"] > 0
    assert np.isnan(lines[2]["p_value"]) and np.isnan(lines[3]["p_value"])


def test_intervals_cover_the_share_of_these_effects() -> None:
    """Fixed effects, other seeds: an interval of 95% must hold the share of the effects nearly that often.

    100 resamples narrow it to 1 - 2 (1 + 99/40) / 101 = 93%: 60 draws hold 85% in 99 of 100 trials, in 1 were it 70%.
    """
    cells = profiles((3, 4, 1), (1.0, 0.7, 0.3, 0), seed=9)
    sums, df = sums_of_squares(np.repeat(cells, 2, axis=2)), degrees(SHAPE)
    error = 0.4**2 * DEPTHS
    truth = sums[:3] / (sums.sum() + df.sum() * error + error)
    inside = np.zeros(3)
    for seed in range(60):
        values = cells + 0.4 * np.random.default_rng(seed).normal(size=(*SHAPE, DEPTHS))
        lines = factor_lines(values, OPTIONS | {"resamples": 100}, np.random.default_rng(seed))
        inside += [line["share_low"] <= share <= line["share_high"] for line, share in zip(lines, truth, strict=False)]
    assert (inside / 60 >= 0.85).all()


def write(path: Path, models: dict[str, np.ndarray]) -> Path:
    """A table of profiles by family."""
    lines = [
        {"measure": "lens", "model": f"{family}-m", "family": family, "parameters": 9, "layers": 4}
        | {"depth": (place + 1) / DEPTHS, "value": float(value)}
        for family, values in models.items()
        for place, value in enumerate(values)
    ]
    SIGNATURES.write(path, {name: [line[name] for line in lines] for name in SIGNATURES.names}, {})
    return path


def families() -> dict[str, dict[str, Any]]:
    places = product(("a", "b", "c"), ("p", "q", "r", "s"), (4, 9))
    names = ("architecture", "recipe", "seed")
    return {"-".join(map(str, place)): dict(zip(names, place, strict=True)) for place in places}


def test_the_table(tmp_path: Path) -> None:
    """Prevents a model in another's cell, whatever the order of the table."""
    values = profiles(SHAPE, (1.0, 0.5, 0.3, 0.2), seed=2)
    models = dict(zip(families(), values.reshape(-1, DEPTHS), strict=True))
    mixed = dict(sorted(models.items(), key=lambda item: hash(item[0][::-1])))
    explain_signatures(OPTIONS | {"families": families()}, write(tmp_path / "s", mixed), tmp_path / "f")
    table = FACTORIAL.read(tmp_path / "f").to_pandas()
    for profile, expected in (("raw", values), ("shape", shapes(values))):
        found = table.loc[table["profile"] == profile, "sum_of_squares"]
        np.testing.assert_allclose(found, sums_of_squares(expected))
    assert (table["models"] == 24).all() and (table["measure"] == "lens").all()


def test_a_model_without_a_profile(tmp_path: Path) -> None:
    """A cell that is missing must not leave the others to be taken for a whole layout."""
    models = {family: np.arange(DEPTHS) for family in list(families())[1:]}
    with pytest.raises(ReciteError, match=r"a-p-4 has no profile over layers, .* of all models: name all"):
        explain_signatures(OPTIONS | {"families": families()}, write(tmp_path / "s", models), tmp_path / "f")


def test_shapes_are_what_correlations_compare() -> None:
    """Prevents two notions of likeness: a product of two shapes is their profiles' correlation; levels do not count."""
    values = profiles(SHAPE, (1.0, 0.5, 0.3, 0.2), seed=4)
    first, second = (values.reshape(-1, DEPTHS)[place] for place in (0, 5))
    assert float(shapes(first) @ shapes(second)) == pytest.approx(np.corrcoef(first, second)[0, 1])
    np.testing.assert_allclose(shapes(3 * values + 7), shapes(values))
    assert not shapes(np.full(DEPTHS, 0.3)).any()
