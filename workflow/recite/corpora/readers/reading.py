"""From what a file says of documents, unchecked, to documents, or to the reason why there is none."""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from recite.corpora.readers.columns import NOT_UTF8
from recite.corpora.readers.layout import Document, Layout, Skipped
from recite.corpora.readers.lines import read_lines
from recite.corpora.readers.objects import TooDeepError, is_sound, parse_leniently, value_at
from recite.errors import ReciteError


class Record(NamedTuple):
    """What a file says of one document, unchecked; byte is None where rows have none."""

    row: int
    byte: int | None
    text: Any
    id: Any
    label: Any


class Reading:
    """Makes documents of one file's records, or counts why not."""

    def __init__(self, name: str, layout: Layout, skipped: Skipped) -> None:
        self.name = name
        self.layout = layout
        self.skipped = skipped
        self.label = label_of_file(layout, name)
        self.usable = False
        self.broken = 0
        self.first_broken = ""

    def documents(self, records: Iterator[Record]) -> Iterator[Document]:
        """The documents among the records; an error at the end if all were broken."""
        labels, numbered = self.layout.labels, self.layout.id is None
        for row, byte, text, identity, label in records:
            if numbered:
                identity = f"{self.name}:{row}"
            elif type(identity) is int:
                identity = str(identity)
            if type(label) is int:
                label = str(label)
            if not (type(text) is type(identity) is type(label) is str):
                self._skip_broken(self._misfit(text, identity, label), row, byte)
                continue
            self.usable = True
            domain = label if labels is None else labels.get(label)
            if not text or domain is None or is_removed(self.layout, text):
                self._skip(unwanted(text, label, domain), row, byte)
                continue
            yield Document(identity, domain, text, row, self.name)
        if self.broken and not self.usable:
            raise ReciteError(
                f"{self.name}: none of its {self.broken} documents can be read, the first ({self.first_broken}); "
                "correct the fields that the corpus's entry names, or replace the file."
            )

    def parsed(self, path: Path) -> Iterator[Record]:
        """Records of a file of JSON lines."""
        loads = orjson.loads
        text_of, id_of, label_of = map(self._getter, (self.layout.text, self.layout.id, self.layout.domain))
        added = 0
        for line_number, byte, line in read_lines(path, self.name):
            row = line_number + added
            try:
                fields = loads(line)
                record = Record(row, byte, text_of(fields), id_of(fields), label_of(fields))
            except (ValueError, KeyError, TypeError):
                added += yield from self._parsed_leniently(row, byte, line)
                continue
            if type(record.id) is float:  # integers of more than 64 bits become one
                yield from self._parsed_leniently(row, byte, line)
                continue
            yield record

    def _parsed_leniently(self, row: int, byte: int, line: bytes) -> Generator[Record, None, int]:
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
                yield Record(row + at, byte + start, *self._read(fields))
        return max(0, len(values) - 1)

    def rows(self, columns: Callable[[Sequence[str]], Iterable[tuple[Any, ...]]], first: int = 0) -> Iterator[Record]:
        """Records of columns, of which `columns` gives the rows from `first` on by the fields that are read."""
        fields = [name for name in self._names() if name is not None]
        has_id, has_label = self.layout.id is not None, self.layout.domain is not None
        for row, (text, *rest) in enumerate(columns(fields), first):
            yield Record(row, None, text, rest[0] if has_id else None, rest[-1] if has_label else self.label)

    def objects(self, values: Iterable[Any]) -> Iterator[Record]:
        """Records of rows that are read already, each by the names of its fields."""
        for row, fields in enumerate(values):
            defect = self._defect(b"", fields)
            if defect:
                self._skip_broken(defect, row, None)
            else:
                yield Record(row, None, *self._read(fields))

    def _getter(self, name: str | None) -> Callable[[Any], Any]:
        if name is None:
            return lambda fields: self.label
        return itemgetter(name) if "." not in name else lambda fields: value_at(fields, name)

    def _names(self) -> tuple[str | None, str | None, str | None]:
        return self.layout.text, self.layout.id, self.layout.domain

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


def is_removed(layout: Layout, text: str) -> bool:
    """Whether a text only stands for a document that was taken out of the corpus."""
    return layout.removed is not None and text.strip() == layout.removed.strip()


def unwanted(text: str, label: str, domain: str | None) -> str:
    """Why a document that can be read is skipped."""
    if not text:
        return "empty text"
    return "removed" if domain is not None else f"label {label[:80]} is not a domain of the corpus"


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


def label_of_file(layout: Layout, name: str) -> str | None:
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
