"""Shares of a corpus that is no list of files of documents: bundles of texts, and rows of data sets.

How many shares there are, and who reads which, decides no document's identifier or pointer.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recite.corpora.readers.library import BUILDERS, Rows, library, told
from recite.corpora.readers.texts import Texts
from recite.errors import ReciteError
from recite.files import read_json
from recite.sources.patterns import files_below, matching

FEWEST = 16
"""Shares of a group, where it has as many rows or texts, so that its job's cores have something to read."""
MOST_TEXTS = 1000
"""Texts of a share: what is kept of a share is a file of its own."""
STATE, SPLITS, ROWS = "state.json", "dataset_dict.json", "dataset_info.json"
"""Files by which a folder is known that the library saved: a split, several of them, and what says of its rows."""
KEPT = (str, int, float, bool, list)
"""Types of a builder's options that a data set's card may give."""


def bundles(folder: Path, names: Sequence[str]) -> dict[str, Texts]:
    """Texts in shares, each called by its first and its last."""
    step = max(1, min(MOST_TEXTS, -(-len(names) // FEWEST)))
    cut = [tuple(names[start : start + step]) for start in range(0, len(names), step)]
    return {" ... ".join(dict.fromkeys((part[0], part[-1]))): Texts(folder, part) for part in cut}


def row_shares(options: Mapping[str, Any], folder: Path) -> dict[str, Rows]:
    """The shares of a split by name: one for each file, or shard on the hub, or for some of the rows that were saved.

    `options` are those of an inventory. Raises ReciteError where the library finds no data in `folder`, only such that
    none of BUILDERS reads, or a script.
    """
    wanted, place = options["dataset"], f"corpus {options['corpus']}"
    with told(f"{place}: {options['hub'] if wanted['streaming'] else folder}"):
        found: dict[str, Rows] = {}
        for split in wanted["split"].split("+"):
            one = {**options, "dataset": {**wanted, "split": split}}
            if wanted["streaming"]:
                found |= _of_hub(one, place)
            elif (folder / SPLITS).exists() or (folder / STATE).exists():
                found |= _of_saved(one, folder, place)
            else:
                found |= _of_files(one, folder, place)
        return found


def _of_saved(options: Mapping[str, Any], folder: Path, place: str) -> dict[str, Rows]:
    split = options["dataset"]["split"]
    saved = folder / split if (folder / SPLITS).exists() else folder
    if not (saved / STATE).exists():
        known = ", ".join(read_json(folder / SPLITS)["splits"])
        raise ReciteError(f"{place}: {folder} has no split {split} (its splits: {known}); correct `split`.")
    files = tuple(saved / file["filename"] for file in read_json(saved / STATE)["_data_files"])
    rows = len(library().load_from_disk(str(saved), keep_in_memory=False))
    size = sum(file.stat().st_size for file in files)
    step = max(1, -(-rows // (FEWEST * options["groups"])))
    opening = {"saved": str(saved), "split": split}
    found = {}
    for first in range(0, rows, step):
        end = min(first + step, rows)
        share = Rows(split, opening, (saved / STATE, *files), size * (end - first) // rows, first=first, end=end)
        found[f"{split}, rows from {first}"] = share
    return found


def _of_hub(options: Mapping[str, Any], place: str) -> dict[str, Rows]:
    wanted = options["dataset"]
    given = {"path": options["hub"], "name": wanted["config"], "revision": options["revision"]}
    with TemporaryDirectory() as notes:
        builder = library().load_dataset_builder(**given, cache_dir=notes)
        _check_builder(builder, options["hub"], place)
        shards = builder.as_streaming_dataset(split=wanted["split"]).num_shards
    opening = given | {"split": wanted["split"], "options": {}}
    names = [wanted["split"] if shards == 1 else f"{wanted['split']}/{shard:05d}" for shard in range(shards)]
    return {name: Rows(name, opening, shard=shard, shards=shards) for shard, name in enumerate(names)}


def _of_files(options: Mapping[str, Any], folder: Path, place: str) -> dict[str, Rows]:
    wanted = options["dataset"]
    builder, given = wanted.get("builder"), dict(wanted["options"])
    if builder is None:
        builder, names, told_by_card = _resolved(folder, wanted["config"], wanted["split"], place)
        given = told_by_card | given
    else:
        below = files_below(folder)
        patterns = options.get("patterns", BUILDERS[builder])
        names = sorted({name for pattern in patterns for name in matching(below, pattern)})
        if not names:
            raise ReciteError(f"{place}: no file of {folder} matches {' or '.join(patterns)}; correct `patterns`.")
    found = {}
    for name in names:
        file, own = folder / name, {"sep": "\t"} if name.endswith(".tsv") and builder == "csv" else {}
        opening = {"path": builder, "data_files": {"train": [escape(str(file))]}, "split": "train"}
        found[name] = Rows(name, opening | {"options": own | given}, (file,), file.stat().st_size)
    return found


def _resolved(folder: Path, config: str | None, split: str, place: str) -> tuple[str, list[str], dict[str, Any]]:
    """Builder, names of files and options, as the library takes them from the files' names and the folder's card."""
    with TemporaryDirectory() as notes:
        found = library().load_dataset_builder(str(folder), name=config, cache_dir=notes)
    builder = _check_builder(found, str(folder), place)
    files = found.config.data_files
    if split not in files:
        raise ReciteError(
            f"{place}: {folder} has no split {split} (its splits: {', '.join(map(str, files))}); correct `split`."
        )
    below = {os.path.realpath(folder / name): name for name in files_below(folder)}  # the library follows links
    lost = [file for file in files[split] if os.path.realpath(file) not in below]
    if lost:
        raise ReciteError(
            f"{place}: the library takes {lost[0]} for data, which is no file of {folder}; unpack it, or name the "
            "files by `builder` and `patterns`."
        )
    names = sorted(below[os.path.realpath(file)] for file in files[split])
    plain = type(found.config)()
    own = {one.name for one in fields(found.config)} - {"name", "version", "data_dir", "data_files", "description"}
    given = {name: getattr(found.config, name) for name in sorted(own)}
    return builder, names, {k: v for k, v in given.items() if isinstance(v, KEPT) and v != getattr(plain, k)}


def _check_builder(builder: Any, what: str, place: str) -> str:
    name = type(builder).__module__.rpartition(".")[2]
    if name not in BUILDERS or not type(builder).__module__.startswith("datasets.packaged_modules."):
        raise ReciteError(
            f"{place}: {what} is of the library's kind {name}, which is not read here (read are "
            f"{', '.join(BUILDERS)}); name one by `builder` with the `patterns` of its files, or convert them."
        )
    return name
