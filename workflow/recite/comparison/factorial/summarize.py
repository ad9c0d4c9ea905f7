"""Recipe or architecture? How much of the variance of the models' profiles over layers each of the two explains.

The study trains every architecture with every recipe from every seed: a balanced two-way layout with the seeds as
replicates. With y_ars a model's profile (depths,), the sums of squares |y - mean|^2 over all depths split into those of
the architecture, the recipe, the two together, and the seeds (Fisher 1925; for vectors, Anderson 2001). Shares are
omega^2 (Hays 1963), which take off what chance alone gives:
(SS - df x MS_seed) / (SS_total + MS_seed). They may be a little below zero.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recite.comparison.factorial.tables import FACTORIAL
from recite.comparison.signatures.tables import SIGNATURES
from recite.errors import ReciteError
from recite.files import hash64
from recite.statistics.intervals import ROUNDING, interval
from recite.study.models import Crossed

FACTORS = ("architecture", "recipe", "both", "seed")
RAW, SHAPE = "raw", "shape"
"""Profiles as measured, of which a model's level is part; and as signatures compare them, by correlation."""
Line = dict[str, Any]


def explain_signatures(options: Mapping[str, Any], signatures: Path, factorial: Path) -> None:
    """Write the table factorial from the profiles of all models.

    `options` holds seed, confidence, resamples and families: family -> its architecture, recipe and seed.
    """
    crossed = {family: Crossed(**place) for family, place in options["families"].items()}
    table = SIGNATURES.read(signatures).to_pandas()
    lines: list[Line] = []
    for measure, part in table.groupby("measure"):
        values = profiles_by_cell(part, crossed)
        for profile, these in ((RAW, values), (SHAPE, shapes(values))):
            rng = np.random.default_rng(hash64(options["seed"], "factorial", measure))
            lines += [{"measure": measure, "profile": profile} | line for line in factor_lines(these, options, rng)]
    FACTORIAL.write_lines(factorial, lines, {"options": dict(options)})


def profiles_by_cell(table: pd.DataFrame, crossed: Mapping[str, Crossed]) -> np.ndarray:
    """The profiles of one measure, (architectures, recipes, seeds, depths); ReciteError where a model has none."""
    sides = [list(dict.fromkeys(getattr(place, name) for place in crossed.values())) for name in Crossed._fields]
    by_family = {family: part.sort_values("depth")["value"].to_numpy() for family, part in table.groupby("family")}
    lost = [family for family in crossed if family not in by_family]
    if lost:
        raise ReciteError(
            f"{lost[0]} has no profile over layers, but a factorial needs them of all models: name all, or none, in "
            "the models of recovery, lens and ablation, and give them three layers or more."
        )
    depths = len(next(iter(by_family.values())))
    values = np.empty((*map(len, sides), depths))
    for family, place in crossed.items():
        values[tuple(side.index(level) for side, level in zip(sides, place, strict=True))] = by_family[family]
    return values


def shapes(values: np.ndarray) -> np.ndarray:
    """Profiles, (..., depths), about their means and of length 1; flat ones are 0."""
    about = values - values.mean(axis=-1, keepdims=True)
    length = np.sqrt((about**2).sum(axis=-1, keepdims=True))
    return np.divide(about, length, out=np.zeros_like(about), where=length > ROUNDING)


def sums_of_squares(values: np.ndarray) -> np.ndarray:
    """Of architecture, recipe, both and seed, (..., 4), from (..., architectures, recipes, seeds, depths)."""
    architectures, recipes, seeds = values.shape[-4:-1]
    cells = values.mean(axis=-2)
    grand = cells.mean(axis=(-3, -2), keepdims=True)
    rows, columns = cells.mean(axis=-2, keepdims=True) - grand, cells.mean(axis=-3, keepdims=True) - grand
    both = cells - grand - rows - columns
    residuals = values - cells[..., None, :]
    found = [
        recipes * seeds * (rows**2).sum(axis=(-3, -2, -1)),
        architectures * seeds * (columns**2).sum(axis=(-3, -2, -1)),
        seeds * (both**2).sum(axis=(-3, -2, -1)),
        (residuals**2).sum(axis=(-4, -3, -2, -1)),
    ]
    return np.stack(found, axis=-1)


def degrees(shape: Sequence[int]) -> np.ndarray:
    """Degrees of freedom of the four, (4,), by the numbers of architectures, recipes and seeds."""
    architectures, recipes, seeds = shape
    a, r = architectures - 1, recipes - 1
    return np.array([a, r, a * r, architectures * recipes * (seeds - 1)])


def shares(sums: np.ndarray, df: np.ndarray) -> np.ndarray:
    """omega^2 of architecture, recipe and both, and the seeds' rest: (..., 4), together 1; NaN without variance."""
    error = sums[..., 3:] / df[3]
    total = sums.sum(axis=-1, keepdims=True)
    scale = total + error
    explained = np.divide(
        sums[..., :3] - df[:3] * error, scale, out=np.full(sums[..., :3].shape, np.nan), where=scale > 0
    )
    return np.concatenate([explained, 1 - explained.sum(axis=-1, keepdims=True)], axis=-1)


def factor_lines(values: np.ndarray, options: Mapping[str, Any], rng: np.random.Generator) -> list[Line]:
    """One line a factor, of profiles (architectures, recipes, seeds, depths).

    Intervals: bootstrap of the seeds within each cell, their deviations stretched by sqrt(n / (n - 1)) so that
    resamples scatter as the seeds do, and moved by the bias that they show (Davison & Hinkley 1997, chapter 2).
    p-values: the architectures' names permuted over the models of each recipe, and the recipes' over those of each
    architecture; none for the other two.
    """
    shape = values.shape[:3]
    df, seeds = degrees(shape), shape[2]
    sums = sums_of_squares(values)
    cells = values.mean(axis=2, keepdims=True)
    stretched = cells + (values - cells) * np.sqrt(seeds / (seeds - 1))
    drawn = np.array([shares(sums_of_squares(_resampled(stretched, rng)), df) for _ in range(options["resamples"])])
    p_values = [
        _permutation_p_value(values, factor, options["resamples"], rng) if factor < 2 else np.nan for factor in range(4)
    ]
    drawn += shares(sums, df) - drawn.mean(axis=0)
    lines = []
    for factor, name in enumerate(FACTORS):
        low, high = interval(drawn[:, factor], options["confidence"])
        share = float(shares(sums, df)[factor])
        line = {"factor": name, "models": int(np.prod(shape)), "degrees": int(df[factor])}
        line |= {"sum_of_squares": float(sums[factor]), "share": share, "share_low": low, "share_high": high}
        lines.append(line | {"p_value": p_values[factor]})
    return lines


def _resampled(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The seeds of every cell drawn with replacement."""
    chosen = rng.integers(0, values.shape[2], values.shape[:3])
    return np.take_along_axis(values, chosen[..., None], axis=2)


def _permutation_p_value(values: np.ndarray, factor: int, permutations: int, rng: np.random.Generator) -> float:
    """How often the sum of squares of architecture (0) or recipe (1) is reached once its names are permuted."""
    architectures, recipes, seeds, depths = values.shape
    other = 1 - factor
    strata = np.moveaxis(values, other, 0).reshape((recipes, architectures)[factor], -1, depths)
    seen, reached = sums_of_squares(values)[factor], 1
    for _ in range(permutations):
        mixed = rng.permuted(np.broadcast_to(np.arange(strata.shape[1]), strata.shape[:2]), axis=1)
        drawn = np.take_along_axis(strata, mixed[..., None], axis=1)
        drawn = drawn.reshape(len(strata), (architectures, recipes)[factor], seeds, depths)
        reached += sums_of_squares(np.moveaxis(drawn, 0, other))[factor] >= seen * (1 - 1e-12)
    return float(reached / (permutations + 1))
