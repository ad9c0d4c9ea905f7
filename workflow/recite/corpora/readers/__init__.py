"""What a corpus is kept in, read as streams of documents in constant memory.

A defect of one document skips, counts and locates that document; a defect of the file is an error.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from recite.corpora.readers.columns import read_columns
from recite.corpora.readers.layout import Document, Layout, Skipped
from recite.corpora.readers.library import Rows
from recite.corpora.readers.reading import Reading
from recite.corpora.readers.texts import Texts
from recite.errors import ReciteError

__all__ = ["Document", "Layout", "Rows", "Share", "Skipped", "Texts", "built", "bytes_of", "files_of"]
__all__ += ["read_built", "read_documents", "read_texts"]

LINES = tuple(kind + packing for packing in ("", ".gz", ".zst", ".zstd") for kind in (".jsonl", ".json"))
COLUMNS = (".parquet", ".arrow", ".arrows", ".feather")
Share = Path | Texts | Rows
"""What is read in one go: a file of documents, files that are documents, or rows of a data set."""


def files_of(share: Share) -> list[Path]:
    """The files on this machine that it rests on."""
    return [share] if isinstance(share, Path) else list(share.files)


def bytes_of(share: Share) -> int:
    """Its size on disk."""
    return share.stat().st_size if isinstance(share, Path) else share.bytes


def built(domains: Iterable[str] | None = None) -> Layout:
    """Layout of the files that recite.corpora.making.building writes, of these domains (None: of all)."""
    return Layout("text", "id", "domain", labels=None if domains is None else {name: name for name in domains})


def read_built(path: Path) -> Iterator[Document]:
    """Documents of a file that `making.building` wrote, where a document that has to be skipped is an error."""
    skipped = Skipped()
    yield from read_documents(path, path.name, built(), skipped)
    for reason, place in skipped.first.items():
        raise ReciteError(f"{place}: {reason}; delete {path} and run the rule that makes it again.")


def read_documents(path: Share, name: str, layout: Layout, skipped: Skipped) -> Iterator[Document]:
    """Documents of a file of JSON lines (plain, gzip, zstd), a Parquet file or an Arrow file or stream, by its suffix.

    Of texts of a folder and of rows of a data set, those that they say.

    `name` is the file's path within the corpus, with forward slashes. Documents that are blank, not JSON, not objects,
    of no text or label, or of one that is not UTF-8, of an empty text, of another label or removed go to `skipped`;
    what is wrong with a field that is not read is nothing. Raises ReciteError for a file that is missing, of another
    format, truncated or longer than its frames, that lacks a column, or whose documents all lack what the layout names.
    """
    if not isinstance(path, Path):
        return path.documents(layout, skipped)
    suffix = name.lower()
    if not suffix.endswith(LINES + COLUMNS):
        raise ReciteError(
            f"{name} is of no known format; name the file by what it is, one of {', '.join(LINES + COLUMNS)}, "
            "or take it out of the corpus."
        )
    if not path.is_file():
        raise ReciteError(f"{path} does not exist; run the rule that makes it again, or correct its path.")
    reading = Reading(name, layout, skipped)
    lines = suffix.endswith(LINES)
    return reading.documents(reading.parsed(path) if lines else reading.rows(partial(read_columns, path, name)))


def read_texts(files: Mapping[str, Share], layout: Layout) -> Iterator[str]:
    """Texts of all documents of some shares, by name within the corpus, in the order of the names.

    What is skipped is printed by reason, with its number and first place.
    """
    skipped = Skipped()
    for name in sorted(files):
        for document in read_documents(files[name], name, layout, skipped):
            yield document.text
    for reason, count in skipped.counts.items():
        print(f"{count} documents skipped: {reason}, first {skipped.first[reason]}", flush=True)
