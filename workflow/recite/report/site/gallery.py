"""Rows to read as the page shows them: so many of each class that the page stays small."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recite.outcomes.examples import CLASSES, read_examples, visible
from recite.report.recited import counted, source_of

MOST_CARDS = 400
"""Rows on the page, 1.2 kB each on average."""
PAGE_CARDS = 5
"""Rows that are shown at a time, and without a script."""


class Token(NamedTuple):
    """What a token adds to the text, and whether the model said it as the corpus has it."""

    text: str
    hit: bool


class Card(NamedTuple):
    """A row: its name in links, what is told of it, its texts. generated: nothing where it is all as in the corpus."""

    name: str
    row_id: int
    of_class: str
    domain: str
    model: str
    times: int
    counted: str
    hits: int
    context: str
    continuation: list[Token]
    generated: list[Token]
    source: str


class Gallery(NamedTuple):
    """The rows on the page, how many there are in the files, whether any is masked, what they rest on."""

    cards: list[Card]
    rows: int
    masked: bool
    status: str
    rests_on: str
    page: int = PAGE_CARDS


def make_gallery(paths: Sequence[Path], status: str, rests_on: str) -> Gallery:
    """The rows of some files that the page has room for."""
    rows = read_examples(paths)
    chosen = chosen_rows(rows)
    masked = any(row["masked"] for row in chosen)
    return Gallery(list(map(_card, chosen)), len(rows), masked, status, rests_on)


def chosen_rows(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """As many rows of each class as there is room for, by class, then the first of all models and domains."""
    # Identifiers are hashes: by them models and domains come in no order.
    by_class = sorted(rows, key=lambda row: (CLASSES.index(row["class"]), row["place"], row["row_id"], row["model"]))
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, int, Mapping[str, Any]]] = []
    for row in by_class:
        ranked.append((seen[row["class"]], len(ranked), row))
        seen[row["class"]] += 1
    kept = sorted(ranked, key=lambda item: item[:2])[:MOST_CARDS]
    return [row for _, _, row in sorted(kept, key=lambda item: item[1])]


def _card(row: Mapping[str, Any]) -> Card:
    whole = all(row["hit"])
    return Card(
        name=f"row-{row['row_id']}-{row['model']}",
        row_id=row["row_id"],
        of_class=row["class"],
        domain=row["domain"],
        model=row["model"],
        times=row["count"],
        counted=f", {counted(row)}" if row["counted"] else "",
        hits=row["hits"],
        context=_shown("".join(row["context"])),
        continuation=_tokens(row["continuation"], row["hit"]),
        generated=[] if whole else _tokens(row["generated"], row["hit"]),
        source=source_of(row),
    )


def _tokens(texts: Sequence[str], hits: Sequence[bool]) -> list[Token]:
    return [Token(_shown(text), hit) for text, hit in zip(texts, hits, strict=True)]


def _shown(text: str) -> str:
    """With the end of a line to be seen, which a token may be nothing but."""
    return visible(text).replace("\n", "\u21b5\n")
