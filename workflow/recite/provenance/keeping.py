"""What stands of jobs that run again, set aside until they find that they would only make it once more.

Snakemake plans a run before it starts: a job whose inputs are made anew runs again, though they may come to the same
bytes, and what stands of it is removed first. Links that are made before the first job starts keep it, at no cost in
bytes, for the job to take back. They last for one run, so that a file that somebody deletes is made again.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from recite.files import sha256_file

FOLDER = "records/.kept"


def set_aside(study: Path, paths: Iterable[str]) -> None:
    """Link those of `paths` in the study's folder that stand; whatever an earlier run left set aside is dropped.

    A file system without hard links keeps nothing: there the jobs compute.
    """
    drop(study)
    for path in map(Path, paths):
        kept = study / FOLDER / path.relative_to(study)
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, kept)


def take_back(study: Path, digests: Mapping[str, str]) -> bool:
    """Put files back, all or none: path in the study -> SHA-256 that it must have. Whether it was done."""
    kept = {study / path: study / FOLDER / path for path in digests}
    if not all(_has_digest(kept[study / path], sha256) for path, sha256 in digests.items()):
        return False
    for path, file in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        file.replace(path)
        os.utime(path)  # else Snakemake would plan the job again, as its inputs are newer
    return True


def discard(study: Path, paths: Iterable[str]) -> None:
    """Free what is set aside of a job that computes: old and new bytes need not share the disk."""
    for path in paths:
        (study / FOLDER / path).unlink(missing_ok=True)


def drop(study: Path) -> None:
    """Remove all that is set aside."""
    shutil.rmtree(study / FOLDER, ignore_errors=True)


def _has_digest(file: Path, sha256: str) -> bool:
    try:
        return sha256_file(file) == sha256
    except OSError:
        return False
