"""Files that are whole or absent: atomic writing, digests, canonical JSON."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recite.errors import ReciteError

RULE = "RECITE_RULE"
"""Environment variable by which the door of a job tells all its processes the job's rule."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` only if the block succeeds.

    A reader therefore never sees a partial file, whatever kills the writer; a failed
    block leaves an earlier `path` as it was and removes the temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no spaces, so that equal values compare equal."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON with sorted keys; ReciteError for NaN and infinity."""
    try:
        text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise ReciteError(
            f"{path} would hold a number that is not finite; look for what its rule reads that is damaged."
        ) from None
    with atomic(path) as temporary:
        temporary.write_text(text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or broken one raises ReciteError naming it."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ReciteError(f"{path} does not exist; run the rule that makes it again.") from None
    except ValueError as error:
        raise ReciteError(f"{path} is not valid JSON ({error}); delete it and run again.") from None


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash64(*parts: object) -> int:
    """A uniform 64-bit integer from the text of `parts`: the source of every seeded choice.

    It depends on nothing else: not on the machine, the order of calls, or a process.
    """
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
