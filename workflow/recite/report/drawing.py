"""Figures: each drawn by a module of its stage from the tables that its declaration names."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from recite.files import atomic, canonical_json, sha256_file
from recite.report import style
from recite.tables.declared import read_frames

Drawing = Callable[[dict[str, pd.DataFrame]], tuple[Figure, pd.DataFrame]]
"""From tables by name to the figure and the table behind it: exactly what is drawn."""


def draw(options: Mapping[str, Any], tables: Sequence[Path], outputs: Mapping[str, Path], code: str) -> None:
    """Draw one figure from its table files and write it as every picture or .csv of `outputs`.

    `options` hold study, figure, title, `module`, whose function `draw` draws it, and `tables`, the module that
    declares each. A picture says in itself of which study it is, by which code (its fingerprint) and from which tables
    (their SHA-256) it was drawn.
    """
    frames = read_frames(tables, options["tables"])
    digests = {path.stem: sha256_file(path) for path in tables}
    names = {name: options[name] for name in ("study", "figure")}
    origin = canonical_json({**names, "code": code, "tables": digests})
    drawing: Drawing = importlib.import_module(options["module"]).draw
    with style.style():
        picture, behind = drawing(frames)
        picture.suptitle(options["title"])
        for path in outputs.values():
            with atomic(path) as temporary:
                if path.suffix == ".csv":
                    behind.to_csv(temporary, index=False)
                else:
                    style.save(picture, temporary, path.suffix, origin)
