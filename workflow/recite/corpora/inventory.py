"""Inventory: which files, texts or rows a corpus has, and which job reads which of them."""

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapreplace
from pathlib import Path
from typing import Any

from recite.corpora.readers import Rows, Share, Texts
from recite.corpora.readers.objects import is_sound
from recite.corpora.shares import bundles, row_shares
from recite.errors import ReciteError
from recite.files import read_json, write_json
from recite.sources.fetching import corpus_folder, dataset_folder
from recite.sources.patterns import files_below, matching, same_name


def take_inventory(options: Mapping[str, Any], inventory: Path, fetch: bool) -> None:
    """List the files of a corpus that match its patterns, with their sizes, and share them out to groups.

    `options` are the corpus's files entry with corpus; `fetch` says whether it may be downloaded. Files go to groups by
    size, the largest first, each to the group that has least; those that `without` names go to none, and are listed by
    themselves. Of a data set these are its shares, see `row_shares`. Raises ReciteError where a pattern matches
    nothing, or where `without` names what is no file of the corpus.
    """
    rows: dict[str, Rows] = {}
    if "dataset" in options:
        folder = dataset_folder({**options, "fetch": fetch})
        rows = row_shares(options, folder)
        chosen = {name: share.bytes for name, share in rows.items()}
    else:
        folder = corpus_folder({**options, "fetch": fetch})
        chosen = _matched(options, folder)
    _check_names(options["corpus"], chosen)
    without = {name: chosen[name] for name in _left_out(options, [*chosen])}
    kept = {name: size for name, size in chosen.items() if name not in without}
    # shared out with those that are left out, so that the others stay where they were
    shares = [{name: group[name] for name in group if name in kept} for group in _shared(chosen, options["groups"])]
    shares = shares if all(shares) else _shared(kept, options["groups"])
    if not all(shares):
        what = "shares of rows" if rows else "files"
        raise ReciteError(
            f"corpus {options['corpus']} has {len(kept)} {what} for {len(shares)} groups; lower `groups`."
        )
    listed: dict[str, Any] = {"corpus": options["corpus"], "folder": str(folder), "groups": shares}
    listed |= {"without": without} if without else {}
    listed |= {"texts": True} if options.get("whole") else {}
    listed |= {"rows": {name: _plain(share) for name, share in rows.items()}} if rows else {}
    write_json(inventory, listed)


def _matched(options: Mapping[str, Any], folder: Path) -> dict[str, int]:
    """Bytes of the files that the patterns mean; each means one at least, but for several of texts."""
    names = files_below(folder)
    chosen: dict[str, int] = {}
    for pattern in options["patterns"]:
        found = matching(names, pattern)
        if not found and not options.get("whole"):
            raise _unmatched(options["corpus"], folder, repr(pattern))
        chosen |= {name: (folder / name).stat().st_size for name in found}
    if not chosen:
        raise _unmatched(options["corpus"], folder, " or ".join(map(repr, options["patterns"])))
    return chosen


def _unmatched(corpus: str, folder: Path, patterns: str) -> ReciteError:
    return ReciteError(
        f"corpus {corpus}: no file of {folder} matches {patterns}; correct `patterns` or `folder` in the corpora file, "
        "or put the files there."
    )


def _plain(share: Rows) -> dict[str, Any]:
    return share._asdict() | {"files": [str(file) for file in share.files]}


def _share(plain: Mapping[str, Any]) -> Rows:
    return Rows(**{**plain, "files": tuple(map(Path, plain["files"]))})


def _shared(sizes: Mapping[str, int], number: int) -> list[dict[str, int]]:
    """Files in groups of like size, each by name."""
    groups: list[dict[str, int]] = [{} for _ in range(number)]
    loads = [(0, 0, group) for group in range(number)]
    for name, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        load, files, group = loads[0]
        groups[group][name] = size
        heapreplace(loads, (load + size, files + 1, group))
    return [dict(sorted(group.items())) for group in groups]


def _check_names(corpus: str, names: Iterable[str]) -> None:
    """Names are texts: identifiers of documents are made of them."""
    for name in names:
        if not is_sound(name):
            raise ReciteError(f"corpus {corpus}: the name of file {name!r} is not UTF-8; rename it.")


def _left_out(options: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The files that `without` names, each as it is called in the corpus."""
    found: dict[str, None] = {}
    for name in options.get("without", ()):
        meant = same_name(names, name)
        if meant is None:
            raise ReciteError(
                f"corpus {options['corpus']}: `without` names {name!r}, which is no file that `patterns` match; "
                "correct it in the corpora file: it is the file's path within the corpus's folder."
            )
        found[meant] = None
    return sorted(found)


def files_of_group(inventory: Path, group: int) -> dict[str, Share]:
    """Name within the corpus -> what is read of it in one go, for the files, texts or rows of one group."""
    found = read_json(inventory)
    folder, names = Path(found["folder"]), found["groups"][group]
    if "rows" in found:
        return {name: _share(found["rows"][name]) for name in names}
    return {**bundles(folder, sorted(names))} if found.get("texts") else {name: folder / name for name in names}


def share_of(inventory: Path, source: str, row: int) -> tuple[str, Share]:
    """Name of the share that holds a row of what its pointer names, and the share; one text of the folder's alone."""
    found = read_json(inventory)
    if "rows" not in found:
        folder = Path(found["folder"])
        return source, Texts(folder, (source,)) if found.get("texts") else folder / source
    for name, plain in found["rows"].items():
        share = _share(plain)
        if share.source == source and (not share.end or share.first <= row < share.end):
            return name, share
    raise ReciteError(f"{inventory} knows no row {row} of {source}; delete it to have the corpus listed anew.")


def left_out(inventory: Path) -> dict[str, int]:
    """Name within the corpus -> bytes, for the files that its entry leaves out."""
    return dict(read_json(inventory).get("without", {}))
