"""Digests of a study's files, each computed once: kept beside the records, by what the file system says of the file.

A note of its own for each file, renamed into place, is safe under concurrent jobs on any file system, a cluster's too;
a lock of a database is not.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from recite.files import atomic, sha256_file

NOTES = "records/.digests"
TOGETHER = 64
"""Files that one thread takes at a time: small ones take no longer than to hand them over."""


class Digest(NamedTuple):
    """Size in bytes and hexadecimal SHA-256 of a file."""

    bytes: int
    sha256: str


class Digests:
    """Digests of the files of the study in folder `study`, by their paths in it.

    A digest is taken from its note while size, times of modification and of change, and inode are what they were. The
    time of change cannot be set back, as the time of modification can. With `full` no note is believed.
    """

    def __init__(self, study: Path, full: bool = False) -> None:
        self.study = study
        self.full = full
        self.known: dict[str, Digest | None] = {}

    def of(self, path: str) -> Digest | None:
        """The digest of a file; None where there is none. Asked once for each path."""
        if path not in self.known:
            self.known[path] = self._find(path)
        return self.known[path]

    def gather(self, paths: Iterable[str]) -> None:
        """Find the digests of many files, on all cores."""
        waiting = list(paths)
        parts = [waiting[low : low + TOGETHER] for low in range(0, len(waiting), TOGETHER)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda part: [self.of(path) for path in part], parts))

    def _find(self, path: str) -> Digest | None:
        file, note = self.study / path, self.study / NOTES / path
        try:
            state = _state(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        kept = _read(note)
        if kept is not None and kept[0] == state and not self.full:
            return Digest(file.stat().st_size, kept[1])
        digest = Digest(file.stat().st_size, sha256_file(file))
        if kept != (state, digest.sha256) and _state(file) == state:
            # Results on a disk that cannot be written are audited too, only not faster the next time.
            with suppress(OSError), atomic(note) as temporary:
                temporary.write_text(f"{state} {digest.sha256}\n")
        return digest


def _state(file: Path) -> str:
    """What changes with every writing of a file."""
    found = file.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _read(note: Path) -> tuple[str, str] | None:
    """State and digest of a note; None where there is none, or none that is whole."""
    try:
        state, _, sha256 = note.read_text().strip().rpartition(" ")
    except (OSError, UnicodeDecodeError):
        return None
    return (state, sha256) if len(sha256) == 64 else None
