"""Tables as the page shows them: the first rows, numbers rounded for reading and whole for sorting."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from recite.errors import ReciteError
from recite.tables import Table

MOST_ROWS = 200
"""Rows of one table that are shown."""


class Cell(NamedTuple):
    """What is read, and what is sorted by: a number in full, or nothing where the text itself is."""

    text: str
    number: str


@dataclass(frozen=True)
class Listing:
    """The first rows of a table; `path` is where all of them lie, `meanings` says what its columns hold."""

    name: str
    path: str
    columns: list[str]
    numeric: list[bool]
    cells: list[list[Cell]]
    rows: int
    meanings: list[tuple[str, str]]

    @property
    def left_out(self) -> int:
        return self.rows - len(self.cells)


def list_table(study: Path, declared: Table) -> Listing:
    """A table of a study; ReciteError where the file is not the declared table."""
    path = f"tables/{declared.name}.parquet"
    table = declared.read(study / path)
    numeric = [not (pa.types.is_string(f.type) or pa.types.is_dictionary(f.type)) for f in table.schema]
    meanings = {c.name: c.meaning + (f" ({c.unit})" if c.unit else "") for c in declared.columns}
    columns = [table.column(name).slice(0, MOST_ROWS).to_pylist() for name in table.column_names]
    shown = dict(zip(table.column_names, columns, strict=True))
    return _listing(declared.name, path, shown, numeric, table.num_rows, meanings)


def read_numbers(path: Path) -> pd.DataFrame:
    """The numbers behind a figure, from the CSV file beside it; ReciteError where it is none."""
    try:
        return pd.read_csv(path, keep_default_na=False, na_values=[""])
    except ValueError as error:
        raise ReciteError(f"{path} is not whole ({error}); delete it and run again.") from None


def list_numbers(frame: pd.DataFrame, figure: str) -> Listing:
    """The numbers behind a figure as the page shows them."""
    path = f"figures/{figure}.csv"
    shown = frame.head(MOST_ROWS)
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame.columns]
    columns = {str(name): shown[name].tolist() for name in frame.columns}
    return _listing(f"{figure}-numbers", path, columns, numeric, len(frame), {})


def _listing(
    name: str,
    path: str,
    columns: Mapping[str, list[Any]],
    numeric: list[bool],
    rows: int,
    meanings: Mapping[str, str],
) -> Listing:
    cells = [list(map(cell, row)) for row in zip(*columns.values(), strict=True)]
    return Listing(name, path, list(columns), numeric, cells, rows, list(meanings.items()))


def cell(value: Any) -> Cell:
    """A value as it is shown and sorted."""
    if isinstance(value, bool):
        return Cell("yes" if value else "no", str(int(value)))
    if isinstance(value, int):
        return Cell(f"{value:,}", str(value))
    if isinstance(value, float) and math.isnan(value):
        return Cell("–", "")
    if isinstance(value, float):
        return Cell(f"{value:.4g}", repr(value).replace("inf", "Infinity"))  # as JavaScript calls it
    return Cell(str(value), "")
