"""What a document is, how a corpus keeps it, and what is said of those that are skipped."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_REASONS = 1000
"""Reasons that are told apart, so that a label that differs in every document costs no memory."""


class Document(NamedTuple):
    """One document: its identifier, domain and text, and its line or row, from 0, in the file or split `source`."""

    id: str
    domain: str
    text: str
    row: int
    source: str


class Layout(NamedTuple):
    """Where a corpus keeps what a document is made of.

    A field is a name, or a dotted path such as `meta.body`; one whose own name has the dots goes before a path.

    text: the field of the text.
    id: the field of the identifier, a text or an integer; None: it is `<file's name>:<row>`,
        or the file's name where each file is a document.
    domain: the field of the label that says which domain the document is of; or
    path: a regular expression whose group, searched in the file's name, is the label of all its documents.
    labels: label, an integer as its digits -> domain; documents with other labels are skipped. None: a label is its own
        domain.
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
