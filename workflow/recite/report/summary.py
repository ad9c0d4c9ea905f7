"""The study in words and numbers: a short Markdown page, put together from what the stages say of their tables."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from recite.files import atomic, read_json
from recite.report.told import Told
from recite.tables.declared import read_frames

MOST = 40
"""Lines of a table on the page; of a longer one it has those of each family's largest model, and a link."""


def write_summary(options: Mapping[str, Any], tables: Sequence[Path], manifest: Path | None, summary: Path) -> None:
    """Write the page from table files named after their tables, and the manifest of a corpus that was made here.

    `options` hold study, `published` (the paper's numbers), `about` (what intervals are about), `words` (the modules
    whose functions `opening` and `sections` say what there is to say) and `tables` (table -> the module that declares
    it). Openings come first. Of a table of more than MOST lines the page has some, and says where all are.
    """
    corpus = read_json(manifest) if manifest else None
    frames = read_frames(tables, options["tables"])
    told = Told(frames, corpus, options["published"])
    largest = set(frames["rates"].sort_values("parameters").groupby("family")["model"].last())
    modules: list[ModuleType] = [importlib.import_module(name) for name in options["words"]]
    parts = [f"# Study {options['study']}\n", f"Intervals are {options['about']}.\n"]
    parts += [module.opening(told) for module in modules if hasattr(module, "opening")]
    for module in modules:
        read = Read(frames)
        parts += [shortened(section, read.asked, largest) for section in module.sections(told._replace(tables=read))]
    with atomic(summary) as temporary:
        temporary.write_text("\n".join(part for part in parts if part))


class Read(Mapping[str, pd.DataFrame]):
    """Tables by name, with a note of those that were read."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self._tables, self.asked = tables, dict[str, None]()

    def __getitem__(self, name: str) -> pd.DataFrame:
        table = self._tables[name]
        self.asked[name] = None
        return table

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def shortened(section: str, tables: Sequence[str] | Mapping[str, None], largest: set[str]) -> str:
    """A section whose tables have at most MOST lines, with links to the files of the tables that it was told from."""
    links = ", ".join(f"[{name}](tables/{name}.parquet)" for name in tables)
    lines: list[str] = []
    for is_table, block in groupby(section.split("\n"), key=lambda line: line.startswith("|")):
        found = list(block)
        heading, body = found[:2], found[2:]
        if not is_table or len(body) <= MOST:
            lines += found
            continue
        telling = [line for line in body if line.split("|")[1].strip() in largest]
        shown, whose = (telling, ", of each family's largest model") if telling else (body, "")
        shown = shown[:MOST]
        lines += [*heading, *shown, "", f"{len(shown)} of {len(body):,} lines{whose}; all of it: {links}."]
    return "\n".join(lines)
