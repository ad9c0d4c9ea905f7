"""Inventory: which files a corpus has, and which job reads which of them."""

import fnmatch
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recite.errors import ReciteError
from recite.fetching import corpus_folder
from recite.files import read_json, write_json


def take_inventory(options: Mapping[str, Any], inventory: Path) -> None:
    """List the files of a corpus that match its patterns, with their sizes, and share them out to groups.

    `options` are the corpus's files entry with corpus and fetch. Files go to groups by size, the largest first, each to
    the group that has least. Raises ReciteError where a pattern matches nothing.
    """
    folder = corpus_folder(options)
    names = _names(folder)
    chosen: dict[str, int] = {}
    for pattern in options["patterns"]:
        matching = fnmatch.filter(names, pattern)
        if not matching:
            raise ReciteError(
                f"corpus {options['corpus']}: no file of {folder} matches {pattern!r}; correct `patterns` or `folder` "
                "in the corpora file, or put the files there."
            )
        chosen |= {name: (folder / name).stat().st_size for name in matching}
    groups: list[dict[str, int]] = [{} for _ in range(options["groups"])]
    for name, size in sorted(chosen.items(), key=lambda item: (-item[1], item[0])):
        min(groups, key=lambda group: (sum(group.values()), len(group)))[name] = size
    if not groups[-1]:
        raise ReciteError(
            f"corpus {options['corpus']} has {len(chosen)} files for {len(groups)} groups; lower `groups`."
        )
    shares = [dict(sorted(group.items())) for group in groups]
    write_json(inventory, {"corpus": options["corpus"], "folder": str(folder), "groups": shares})


def files_of_group(inventory: Path, group: int) -> dict[str, Path]:
    """Name within the corpus -> path, for the files of one group."""
    found = read_json(inventory)
    return {name: Path(found["folder"]) / name for name in found["groups"][group]}


def _names(folder: Path) -> list[str]:
    """Names of the files of a folder and of what it links to; what is hidden is no part of a corpus."""
    names: list[str] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        if os.path.realpath(place) in seen:  # links that lead in a circle, or twice to the same
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found = [Path(place, name) for name in files if not name.startswith(".")]
        names += [path.relative_to(folder).as_posix() for path in found if path.is_file()]
    return sorted(names)
