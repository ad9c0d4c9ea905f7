"""Corpus files, read as streams of documents in constant memory.

A defect of one document skips, counts and locates that document; a defect of the file is an error.
"""

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from recite.corpora.readers.columns import NOT_UTF8, read_columns
from recite.corpora.readers.lines import read_lines
from recite.corpora.readers.objects import TooDeepError, is_sound, parse_leniently, value_at
from recite.errors import ReciteError

LINES = tuple(kind + packing for packing in ("", ".gz", ".zst", ".zstd") for kind in (".jsonl", ".json"))
COLUMNS = (".parquet", ".arrow", ".arrows", ".feather")
MOST_REASONS = 1000
"""Reasons that are told apart, so that a label that differs in every document costs no memory."""


class Document(NamedTuple):
    """One document: its identifier, domain and text, and its line or row in the file, from 0."""

    id: str
    domain: str
    text: str
    row: int


class Layout(NamedTuple):
    """Where a corpus keeps what a document is made of.

    A field is a name, or a dotted path such as `meta.body`; one whose own name has the dots goes before a path.

    text: the field of the text.
    id: the field of the identifier, a text or an integer; None: it is `<file's name>:<row>`.
    domain: the field of the label that says which domain the document is of; or
    path: a regular expression whose group, searched in the file's name, is the label of all its documents.
    labels: label -> domain; documents with other labels are skipped. None: a label is its own domain.
    removed: documents of exactly this text, whitespace around it ignored, are skipped.
    """

    text: str
    id: str | None = None
    domain: str | None = None
    path: str | None = None
    labels: Mapping[str, str] | None = None
    removed: str | None = None


@dataclass
class Skipped:
    """Documents that were skipped: how many by reason, and where the first of each was."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, place: str) -> None:
        """Count one; `place` is `<name>, row N, byte OFFSET`."""
        if len(self.counts) >= MOST_REASONS and reason not in self.counts:
            reason = "other reasons"
        self.counts[reason] += 1
        self.first.setdefault(reason, place)


def built(domains: Iterable[str] | None = None) -> Layout:
    """Layout of the files that recite.corpora.building writes, of these domains (None: of all)."""
    return Layout("text", "id", "domain", labels=None if domains is None else {name: name for name in domains})


def read_built(path: Path) -> Iterator[Document]:
    """Documents of a file that recite.corpora.building wrote, where a document that has to be skipped is an error."""
    skipped = Skipped()
    yield from read_documents(path, path.name, built(), skipped)
    for reason, place in skipped.first.items():
        raise ReciteError(f"{place}: {reason}; delete {path} and run the rule that makes it again.")


def read_documents(path: Path, name: str, layout: Layout, skipped: Skipped) -> Iterator[Document]:
    """Documents of a file of JSON lines (plain, gzip, zstd), a Parquet file or an Arrow file or stream, by its suffix.

    `name` is the file's path within the corpus, with forward slashes. Documents that are blank, not JSON, not objects,
    of no text or label, or of one that is not UTF-8, of an empty text, of another label or removed go to `skipped`;
    what is wrong with a field that is not read is nothing. Raises ReciteError for a file that is missing, of another
    format, truncated or longer than its frames, that lacks a column, or whose documents all lack what the layout names.
    """
    suffix = name.lower()
    if not suffix.endswith(LINES + COLUMNS):
        raise ReciteError(
            f"{name} is of no known format; name the file by what it is, one of {', '.join(LINES + COLUMNS)}, "
            "or take it out of the corpus."
        )
    if not path.is_file():
        raise ReciteError(f"{path} does not exist; run the rule that makes it again, or correct its path.")
    reading = _Reading(name, layout, skipped)
    return reading.documents(reading.parsed(path) if suffix.endswith(LINES) else reading.rows(path))


def read_texts(files: Mapping[str, Path], layout: Layout) -> Iterator[str]:
    """Texts of all documents of some files, by name within the corpus, in the order of the names.

    What is skipped is printed by reason, with its number and first place.
    """
    skipped = Skipped()
    for name in sorted(files):
        for document in read_documents(files[name], name, layout, skipped):
            yield document.text
    for reason, count in skipped.counts.items():
        print(f"{count} documents skipped: {reason}, first {skipped.first[reason]}", flush=True)


class _Record(NamedTuple):
    """What a file says of one document, unchecked; byte is None where rows have none."""

    row: int
    byte: int | None
    text: Any
    id: Any
    label: Any


class _Reading:
    """Makes documents of one file's records, or counts why not."""

    def __init__(self, name: str, layout: Layout, skipped: Skipped) -> None:
        self.name = name
        self.layout = layout
        self.skipped = skipped
        self.label = _label_of_file(layout, name)
        self.usable = False
        self.broken = 0
        self.first_broken = ""

    def documents(self, records: Iterator[_Record]) -> Iterator[Document]:
        """The documents among the records; an error at the end if all were broken."""
        labels, numbered = self.layout.labels, self.layout.id is None
        for row, byte, text, identity, label in records:
            if numbered:
                identity = f"{self.name}:{row}"
            elif type(identity) is int:
                identity = str(identity)
            if not (type(text) is type(identity) is type(label) is str):
                self._skip_broken(self._misfit(text, identity, label), row, byte)
                continue
            self.usable = True
            domain = label if labels is None else labels.get(label)
            if not text or domain is None or self._is_removed(text):
                self._skip(self._unwanted(text, label, domain), row, byte)
                continue
            yield Document(identity, domain, text, row)
        if self.broken and not self.usable:
            raise ReciteError(
                f"{self.name}: none of its {self.broken} documents can be read, the first ({self.first_broken}); "
                "correct the fields that the corpus's entry names, or replace the file."
            )

    def parsed(self, path: Path) -> Iterator[_Record]:
        """Records of a file of JSON lines."""
        loads = orjson.loads
        text_of, id_of, label_of = map(self._getter, (self.layout.text, self.layout.id, self.layout.domain))
        added = 0
        for line_number, byte, line in read_lines(path, self.name):
            row = line_number + added
            try:
                fields = loads(line)
                record = _Record(row, byte, text_of(fields), id_of(fields), label_of(fields))
            except (ValueError, KeyError, TypeError):
                added += yield from self._parsed_leniently(row, byte, line)
                continue
            if type(record.id) is float:  # integers of more than 64 bits become one
                yield from self._parsed_leniently(row, byte, line)
                continue
            yield record

    def _parsed_leniently(self, row: int, byte: int, line: bytes) -> Generator[_Record, None, int]:
        """Records of a line that is not all sound, if what is read of it is; returns how many there are but for one."""
        try:
            values = parse_leniently(line)
        except ValueError as error:
            self._skip_broken(_defect(line, error), row, byte)
            return 0
        if not values:
            self._skip("blank line", row, byte)
        for at, (start, fields) in enumerate(values):
            defect = self._defect(line, fields)
            if defect:
                self._skip_broken(defect, row + at, byte + start)
            else:
                yield _Record(row + at, byte + start, *self._read(fields))
        return max(0, len(values) - 1)

    def rows(self, path: Path) -> Iterator[_Record]:
        """Records of a file of columns."""
        fields = [name for name in (self.layout.text, self.layout.id, self.layout.domain) if name is not None]
        has_id, has_label = self.layout.id is not None, self.layout.domain is not None
        for row, (text, *rest) in enumerate(read_columns(path, self.name, fields)):
            yield _Record(row, None, text, rest[0] if has_id else None, rest[-1] if has_label else self.label)

    def _getter(self, name: str | None) -> Callable[[Any], Any]:
        if name is None:
            return lambda fields: self.label
        return itemgetter(name) if "." not in name else lambda fields: value_at(fields, name)

    def _names(self) -> tuple[str | None, str | None, str | None]:
        return self.layout.text, self.layout.id, self.layout.domain

    def _is_removed(self, text: str) -> bool:
        return self.layout.removed is not None and text.strip() == self.layout.removed.strip()

    def _unwanted(self, text: str, label: str, domain: str | None) -> str:
        if not text:
            return "empty text"
        return "removed" if domain is not None else f"label {label[:80]} is not a domain of the corpus"

    def _misfit(self, text: Any, identity: Any, label: Any) -> str:
        """Which of the three values is not text."""
        if NOT_UTF8 in (text, identity, label):
            return "not UTF-8"
        values = zip(self._names(), (text, identity, label), strict=True)
        return next(f"field {name} is not text" for name, value in values if type(value) is not str)

    def _read(self, fields: Any) -> list[Any]:
        return [self._getter(name)(fields) for name in self._names()]

    def _defect(self, line: bytes, fields: Any) -> str:
        """Why an object gives no record; "" where it does."""
        if not isinstance(fields, dict):
            return "not an object"
        missing = [f"missing field {name}" for name in filter(None, self._names()) if not _has(fields, name)]
        if missing:
            return missing[0] if _is_utf8(line) else "not UTF-8"
        named = zip(self._names(), self._read(fields), strict=True)
        halves = [f"half a surrogate pair in field {name}" for name, value in named if not is_sound(value)]
        return next((half if _is_utf8(line) else "not UTF-8" for half in halves), "")

    def _skip(self, reason: str, row: int, byte: int | None) -> None:
        self.skipped.add(reason, self._place(row, byte))

    def _skip_broken(self, reason: str, row: int, byte: int | None) -> None:
        self._skip(reason, row, byte)
        self.broken += 1
        self.first_broken = self.first_broken or f"{self._place(row, byte)}: {reason}"

    def _place(self, row: int, byte: int | None) -> str:
        return f"{self.name}, row {row}" + ("" if byte is None else f", byte {byte}")


def _defect(line: bytes, error: ValueError) -> str:
    """Why a line is not read."""
    if not _is_utf8(line):
        return "not UTF-8"
    return "nested too deeply" if isinstance(error, TooDeepError) else "not JSON"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has(fields: Any, name: str) -> bool:
    try:
        value_at(fields, name)
    except (KeyError, TypeError):
        return False
    return True


def _label_of_file(layout: Layout, name: str) -> str | None:
    """The label that all documents of the file share; None where each has its own."""
    if (layout.domain is None) == (layout.path is None):
        raise ReciteError(f"{name}: the corpus's entry must have one of domain and path; give one of them.")
    if layout.path is None:
        return None
    try:
        found = re.search(layout.path, name)
        label = found and found.group(1)
    except (re.error, IndexError) as error:
        raise ReciteError(f"{name}: path {layout.path!r} is no expression with a group ({error}); mend it.") from None
    if label is None:
        raise ReciteError(f"{name}: path {layout.path!r} finds no label in this name; correct it, or drop the file.")
    return label
