"""The models of a study as the page lists them: what they are, and how much of the natural rows each recites."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.report.cells import interval, share
from recite.report.site.listing import Cell, cell

TABLE = "rates"
"""The table that holds the models' rates."""
COLUMNS = {
    "family": False,
    "parameters": True,
    "layers": True,
    "heads": True,
    "recited": True,
    "rows": True,
    "training corpus": False,
}
"""What is told of a model -> whether it is a number."""
NONE = Cell("–", "")


class Entry(NamedTuple):
    """A model: its name, and what is told of it."""

    name: str
    cells: list[Cell]


class Models(NamedTuple):
    """The models, and what their cells hold."""

    entries: list[Entry]
    columns: list[str]
    numeric: list[bool]


def list_models(models: Mapping[str, Mapping[str, Any]], rates: pd.DataFrame) -> Models:
    """The models, by family and size. `models`: family, corpus, layers and heads of each; `rates`: their rates."""
    natural = rates[rates["domain"] == NATURAL]
    lines = {line.model: line for line in natural.itertuples()}
    sizes = {name: int(lines[name].parameters) if name in lines else 0 for name in models}
    order = sorted(models, key=lambda name: (models[name]["family"], sizes[name], name))
    entries = [Entry(name, _cells(models[name], lines.get(name))) for name in order]
    return Models(entries, list(COLUMNS), list(COLUMNS.values()))


def _cells(model: Mapping[str, Any], line: Any) -> list[Cell]:
    """A model's cells; `line` of the rates, None where it has no natural rows."""
    said = {key: NONE if model[key] is None else cell(model[key]) for key in ("family", "layers", "heads")}
    measured = dict.fromkeys(("parameters", "recited", "rows"), NONE)
    if line is not None:
        measured = {"parameters": cell(int(line.parameters)), "rows": cell(int(line.n))}
        measured["recited"] = Cell(f"{share(line.rate)} [{interval(line)}]", repr(float(line.rate)))
    told = {**said, **measured, "training corpus": cell(model["corpus"])}
    return [told[name] for name in COLUMNS]
