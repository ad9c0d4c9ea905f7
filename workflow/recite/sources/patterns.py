"""Files of a folder by patterns, as the corpora file has them.

`*` stands for any characters, slashes too, `?` for one and `[ab]` for one of these; `**/` stands for any folders, or
none. A pattern that is a file's name means that file alone, whatever its characters stand for.
"""

import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from recite.errors import ReciteError

ANY_FOLDERS = "**/"


def matching(names: Sequence[str], pattern: str) -> list[str]:
    """The names that a pattern means, in their order.

    Names are relative, with forward slashes. A letter with its accent is the same as one character or as two.
    """
    named = same_name(names, pattern)
    if named is not None:
        return [named]
    composed = {name: normalize("NFC", name) for name in names}
    plain = plain_patterns(normalize("NFC", pattern.removeprefix("./")))
    found = {name for one in plain for name in fnmatch.filter(composed.values(), one)}
    return [name for name in names if composed[name] in found]


def same_name(names: Sequence[str], name: str) -> str | None:
    """The one that is called so, if there is one."""
    name = name.removeprefix("./")
    if name in names:
        return name
    return next((other for other in names if normalize("NFC", other) == normalize("NFC", name)), None)


def plain_patterns(pattern: str) -> list[str]:
    """Patterns without `**/` that together mean the same, to what knows `*`, `?` and `[ab]` alone."""
    head, mark, rest = pattern.partition(ANY_FOLDERS)
    if not mark:
        return [pattern]
    while rest.startswith(ANY_FOLDERS):
        rest = rest.removeprefix(ANY_FOLDERS)
    rests = plain_patterns(rest)
    if head and not head.endswith("/"):  # `a**/b`: the stars are within a name
        return [f"{head}*/{plain}" for plain in rests]
    return [f"{head}{folders}{plain}" for folders in ("", "*/") for plain in rests]


def files_below(folder: Path) -> list[str]:
    """Names of the files of a folder and of what it links to, sorted; what is hidden is passed over."""
    if not folder.is_dir():
        return []
    names: list[str] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        if os.path.realpath(place) in seen:  # links that lead in a circle, or twice to the same
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found = [Path(place, name) for name in files if not name.startswith(".")]
        names += [path.relative_to(folder).as_posix() for path in found if path.is_file()]
    return sorted(names)


def _refuse(error: OSError) -> None:
    raise ReciteError(
        f"{error.filename} cannot be listed ({error.strerror}); correct its rights, or move it elsewhere."
    )
