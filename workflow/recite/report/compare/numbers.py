"""The numbers that two studies both have: lines of one key side by side, and the interval of their difference."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from recite.errors import ReciteError
from recite.report.compare.results import Results, same_columns, unit_of
from recite.statistics.differences import Estimates, mover
from recite.statistics.intervals import ROUNDING

EXPECTED = 0.05
"""Share of differences beyond their interval, of 95%, where nothing differs."""
SIDES = ("a", "b")
COUNTED = ("row", "text", "document", "model", "family", "class", "domain", "head")
"""Units of columns that say how much a statistic is of."""
SIZE = "parameter"
"""Unit of what a model's name says already."""


@dataclass(frozen=True)
class Statistic:
    """A statistic of a table, with a line for every key that both studies have.

    lines: columns are the table's keys, value, low and high of either study and of the difference (`a_value`, ...,
    `difference_high`), `times`: the difference over what its interval allows on that side, and `beyond`: whether it is
    more. undefined: lines left out, as one study has no number there. exact: lines of which neither study's interval
    has a width, so that any difference is beyond.
    """

    name: str
    lines: pd.DataFrame
    undefined: int
    exact: int

    @property
    def beyond(self) -> int:
        return int(self.lines["beyond"].sum())


@dataclass(frozen=True)
class Compared:
    """A table that both studies have; only: how many of its lines have no like in the other."""

    table: str
    keys: list[str]
    only: tuple[int, int]
    statistics: list[Statistic]

    @property
    def beyond(self) -> int:
        return sum(statistic.beyond for statistic in self.statistics)

    @property
    def lines(self) -> int:
        return sum(len(statistic.lines) for statistic in self.statistics)


def compare_numbers(a: Results, b: Results) -> list[Compared]:
    """Every table of both that declares a statistic with an interval; ReciteError where it is of two versions."""
    shared = [name for name in a.tables if name in b.tables]
    measured = [name for name in shared if _measured(a.schema(name)) or _measured(b.schema(name))]
    return [_compare(a, b, name) for name in measured]


def _measured(schema: pa.Schema) -> list[str]:
    """The statistics of a table that have an interval."""
    names = set(schema.names)
    return [f.name for f in schema if pa.types.is_floating(f.type) and {f"{f.name}_low", f"{f.name}_high"} <= names]


def _compare(a: Results, b: Results, table: str) -> Compared:
    schema = same_columns(a, b, table)
    names = _measured(schema)
    frames = [study.read(table) for study in (a, b)]
    keys = _keys(schema, names, frames, table)
    ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    one, other = (_keyed(frame[keys + ends], keys, side) for frame, side in zip(frames, SIDES, strict=True))
    lines = one.merge(other, on=keys, validate="one_to_one") if keys else one.merge(other, how="cross")
    only = len(one) - len(lines), len(other) - len(lines)
    return Compared(table, keys, only, [_statistic(name, lines, keys) for name in names])


def _keys(schema: pa.Schema, measured: list[str], frames: list[pd.DataFrame], table: str) -> list[str]:
    """The columns that say what a line is of: those of words, of yes or no, and some of numbers.

    Tables declare first what a line is of, then how much was counted, then statistics. So a column of numbers before
    the first statistic is a key if it tells lines of a study apart which those before it do not, as layers do, or if
    it stands before the first count with one value in either study: a strength that only one study has is no other's.
    """
    words = (pa.types.is_string, pa.types.is_dictionary, pa.types.is_boolean)
    keys = [f.name for f in schema if any(is_of(f.type) for is_of in words)]
    fields = [schema.field(place) for place in range(min(schema.names.index(name) for name in measured))]
    numbers = [f for f in fields if f.name not in keys and unit_of(f) != SIZE]
    counts = [f.name for f in numbers if unit_of(f) in COUNTED]
    both = pd.concat([_keyed(frame, keys).assign(study=side) for frame, side in zip(frames, SIDES, strict=True)])
    apart, studies = _apart(both, keys), _apart(both, [])
    for field in numbers:
        more = _apart(both, [*keys, field.name])
        fixed = field.name not in counts and _before(schema, field.name, counts)
        if more > apart or (fixed and _apart(both, [field.name]) == studies):
            keys, apart = [*keys, field.name], more
    if apart < len(both):
        raise ReciteError(f"tables/{table}.parquet has lines that {', '.join(keys)} do not tell apart; make it again.")
    return keys


def _before(schema: pa.Schema, name: str, others: list[str]) -> bool:
    """Whether a column stands before all others."""
    return all(schema.names.index(name) < schema.names.index(other) for other in others)


def _apart(both: pd.DataFrame, keys: list[str]) -> int:
    return len(both[["study", *keys]].drop_duplicates())


def _keyed(frame: pd.DataFrame, keys: list[str], side: str = "") -> pd.DataFrame:
    """A frame in which equal words are equal whatever categories there are; its other columns named after a study."""
    words = {name: frame[name].astype(str) for name in keys if isinstance(frame[name].dtype, pd.CategoricalDtype)}
    renamed = {name: f"{side}_{name}" for name in frame.columns if side and name not in keys}
    return frame.assign(**words).rename(columns=renamed)


def _statistic(name: str, lines: pd.DataFrame, keys: list[str]) -> Statistic:
    a, b = (Estimates(*(lines[f"{s}_{name}{end}"].to_numpy(float) for end in ("", "_low", "_high"))) for s in SIDES)
    ends = [a.low, a.high, b.low, b.high]
    known = np.isfinite(a.value) & np.isfinite(b.value) & ~np.isnan(ends).any(axis=0)
    a, b = (Estimates(*(values[known] for values in side)) for side in (a, b))
    difference = mover(a, b)
    room = np.where(difference.value > 0, difference.value - difference.low, difference.high - difference.value)
    size = np.abs(difference.value)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(size > 0, size / room, 0.0)
    told = lines.loc[known, keys].reset_index(drop=True)
    for side, values in (("a", a), ("b", b), ("difference", difference)):
        told = told.assign(**{f"{side}_{end}": array for end, array in values._asdict().items()})
    beyond = (difference.low > ROUNDING) | (difference.high < -ROUNDING)
    exact = (a.low == a.high) & (b.low == b.high)
    return Statistic(name, told.assign(times=times, beyond=beyond), int((~known).sum()), int(exact.sum()))


def largest(tables: list[Compared]) -> pd.DataFrame:
    """All differences beyond their interval, those first that are most times what it allows.

    Columns `table`, `statistic`, `of` (key -> value) and those of `Statistic.lines` but the keys.
    """
    parts = []
    for compared in tables:
        for statistic in compared.statistics:
            lines = statistic.lines[statistic.lines["beyond"]]
            of = lines[compared.keys].to_dict("records") if compared.keys else [{} for _ in range(len(lines))]
            numbers = lines.drop(columns=compared.keys)
            parts.append(numbers.assign(table=compared.table, statistic=statistic.name, of=of))
    if not parts:
        return pd.DataFrame()
    found = pd.concat(parts, ignore_index=True)
    size = found["difference_value"].abs()
    return found.assign(size=size).sort_values(["times", "size"], ascending=False, kind="stable").drop(columns="size")
