"""Tables by name, where which they are is told by a study: each is declared in a module of its stage."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from recite.tables import Table


def declared(module: str, name: str) -> Table:
    """The table of that name among those of a module; KeyError where there is none."""
    found = {value.name: value for value in vars(importlib.import_module(module)).values() if isinstance(value, Table)}
    return found[name]


def read_frames(tables: Sequence[Path], modules: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Files that bear their tables' names, read and checked; `modules` says which module declares each table."""
    return {path.stem: declared(modules[path.stem], path.stem).read(path).to_pandas() for path in tables}
