"""The study in words and numbers: a short Markdown page, put together from what the stages say of their tables."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from recite.files import atomic, read_json
from recite.report.told import Told
from recite.tables.declared import read_frames


def write_summary(options: Mapping[str, Any], tables: Sequence[Path], manifest: Path | None, summary: Path) -> None:
    """Write the page from table files named after their tables, and the manifest of a corpus that was made here.

    `options` hold study, `published` (the paper's numbers), `about` (what intervals are about), `words` (the modules
    whose functions `opening` and `sections` say what there is to say) and `tables` (table -> the module that declares
    it). Openings come first.
    """
    corpus = read_json(manifest) if manifest else None
    told = Told(read_frames(tables, options["tables"]), corpus, options["published"])
    modules: list[ModuleType] = [importlib.import_module(name) for name in options["words"]]
    parts = [f"# Study {options['study']}\n", f"Intervals are {options['about']}.\n"]
    parts += [module.opening(told) for module in modules if hasattr(module, "opening")]
    parts += [section for module in modules for section in module.sections(told)]
    with atomic(summary) as temporary:
        temporary.write_text("\n".join(part for part in parts if part))
