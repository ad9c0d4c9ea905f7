"""Pointers that Git LFS leaves in place of files that were not fetched."""

from pathlib import Path

from recite.errors import ReciteError

START = b"version https://git-lfs"
"""How a pointer begins, by the specification of Git LFS."""


def refuse_pointer(file: Path) -> None:
    """Refuse a file that is only a pointer to another."""
    try:
        with file.open("rb") as opened:
            start = opened.read(len(START))
    except OSError as error:
        raise ReciteError(f"{file} cannot be read ({error.strerror}); check its permissions and its disk.") from None
    if start == START:
        raise ReciteError(
            f"{file} is a pointer of Git LFS and not the file itself; fetch that, by `git lfs pull` where it lies."
        )
