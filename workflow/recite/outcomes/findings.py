"""Statistics of claims: a number with its interval over several models, from the tables of a study.

A statistic over several models is the mean of theirs, with the mean of their interval's ends: models of one study were
given the same texts, so their errors are taken to go together, and the interval is not narrowed by their number.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from recite.outcomes.rows import NATURAL

ALL_DOMAINS = "all"


class Finding(NamedTuple):
    """A claim's statistic with its interval, over so many models."""

    value: float
    low: float
    high: float
    models: int


Tables = Mapping[str, pd.DataFrame]
Statistic = Callable[[Tables], Finding | None]
"""From the study's tables to a finding; None where the study's models do not suffice."""
Statistics = Mapping[str, tuple[tuple[str, ...], Statistic]]
"""Claim -> the tables that its statistic needs, and the statistic."""


def mean_of(table: pd.DataFrame, name: str) -> Finding | None:
    """Mean of a statistic and of its interval's ends over the lines where it is defined."""
    defined = table[table[name].notna()]
    if defined.empty:
        return None
    value, low, high = (float(defined[column].mean()) for column in (name, f"{name}_low", f"{name}_high"))
    return Finding(value, low, high, len(defined))


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of each family's largest model."""
    return table[table["parameters"] == table.groupby("family")["parameters"].transform("max")]


def between_families(pairs: pd.DataFrame) -> Finding | None:
    """Mean similarity of the largest models of different families, from a table of pairs of models."""
    if pairs.empty:
        return None
    sides = [
        pairs[["family_" + side, "parameters_" + side]].set_axis(["family", "parameters"], axis=1) for side in "ab"
    ]
    sizes = pd.concat(sides).groupby("family")["parameters"].max()
    kept = pairs[
        (pairs["family_a"] != pairs["family_b"])
        & (pairs["parameters_a"] == pairs["family_a"].map(sizes))
        & (pairs["parameters_b"] == pairs["family_b"].map(sizes))
    ]
    found = mean_of(kept, "similarity")
    return found and found._replace(models=len(set(kept["model_a"]) | set(kept["model_b"])))


def strongest(table: pd.DataFrame) -> pd.DataFrame:
    """The natural rows under the strongest noise, in the first of the disturbed layers."""
    first = table["noise_layer"] == table["noise_layer"].min()
    return table[(table["rows"] == NATURAL) & first & (table["alpha"] == table["alpha"].max())]


def natural_rates(tables: Tables) -> pd.DataFrame:
    return tables["rates"][tables["rates"]["domain"] == NATURAL]
