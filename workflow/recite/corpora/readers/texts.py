"""Files of which each is a document: its text is the file, its identifier the file's name within the corpus."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from recite.corpora.readers.layout import Document, Layout, Skipped
from recite.corpora.readers.reading import is_removed, label_of_file, unwanted
from recite.errors import ReciteError

LONGEST_TEXT = 1 << 28
"""Bytes of the longest file that is read: it is held whole."""


class Texts(NamedTuple):
    """Some files of a folder, by their names within it, with forward slashes."""

    folder: Path
    names: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        return [self.folder / name for name in self.names]

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)

    def documents(self, layout: Layout, skipped: Skipped) -> Iterator[Document]:
        """A document for each file; `layout` says by `path` and `labels` of which domain.

        Files that are empty, not UTF-8, above LONGEST_TEXT bytes or of another label go to `skipped`; a byte order
        mark is passed over. Raises ReciteError for a file that cannot be read.
        """
        for name, file in zip(self.names, self.files, strict=True):
            label = label_of_file(layout, name) or ""
            domain = label if layout.labels is None else layout.labels.get(label)
            text = _text(file)
            if text is None:
                skipped.add("not UTF-8" if file.stat().st_size <= LONGEST_TEXT else "too long a file", f"{name}, row 0")
            elif not text or domain is None or is_removed(layout, text):
                skipped.add(unwanted(text, label, domain), f"{name}, row 0")
            else:
                yield Document(name, domain, text, 0, name)


def _text(file: Path) -> str | None:
    """What a file says; None if that is no text, or too much."""
    try:
        if file.stat().st_size > LONGEST_TEXT:
            return None
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    except OSError as error:
        raise ReciteError(f"{file} cannot be read ({error.strerror}); mend its rights or its disk.") from None
