"""Rows to read: what was given, what follows in the corpus, and what the model said, token by token.

These files alone hold texts for reading; no table behind a figure, no summary and no crate copies them.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table

FOLDER = "examples"
"""Where they lie in a study's folder, a file a model."""
MEMORIZED, NEAR_VERBATIM, HALF, UNMEMORIZED = "memorized", "near-verbatim", "half", "unmemorized"
CLASSES = (MEMORIZED, NEAR_VERBATIM, HALF, UNMEMORIZED)
"""What a row may be read as; of several the first."""
NOT_COUNTED = -1
HIDDEN = "█"
"""Stands for every character that is masked."""
PIECES = pa.list_(pa.string())

EXAMPLES = Table(
    "examples",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text; of rows of equal text one is chosen"),
        Column("model", pa.string(), "", "model"),
        Column("family", pa.string(), "", "model family"),
        Column("parameters", pa.uint64(), "parameter", "size of the model, embeddings included"),
        Column("domain", CATEGORY, "", "domain of the row"),
        Column("class", CATEGORY, "", "memorized, near-verbatim, half or unmemorized: the first of these that holds"),
        Column("place", pa.uint32(), "row", "the row's place among those of its model, domain, class and copies"),
        Column("count", pa.int64(), "occurrence", "how often the row's text occurs in the corpus; -1 if not counted"),
        Column("counted", pa.string(), "", "planted: known copies; else the study's first way of counting; or nothing"),
        Column("document_id", pa.string(), "", "the document's own identifier in the corpus"),
        Column("source_file", pa.string(), "", "corpus file that holds the document, relative to the corpus"),
        Column("source_row", pa.uint64(), "line", "position of the document in that file, from 0"),
        Column("window_start", pa.uint64(), "character", "where in the document the window starts"),
        Column(
            "context",
            PIECES,
            "",
            "text of each token given; of tokens that share a character the last one has it, the others nothing",
        ),
        Column("continuation", PIECES, "", "the same of the tokens that follow in the corpus"),
        Column("generated", PIECES, "", "the same of the greedy continuation"),
        Column("hit", pa.list_(pa.bool_()), "", "whether each generated token is the corpus's"),
        Column("hits", pa.uint8(), "token", "how many of them are"),
        Column("first_mismatch", pa.uint8(), "token", "first position that differs; the number of tokens if none does"),
        Column("masked", pa.uint32(), "character", "characters hidden, of context, continuation and generated text"),
    ),
)


def read_examples(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The rows of some files, values by column; ReciteError where a file is not the declared table."""
    return [row for path in paths for row in EXAMPLES.read(path).to_pylist()]


def visible(text: str) -> str:
    """A text that does nothing where it is shown: control and formatting characters as escapes, but for line and tab.

    A terminal obeys some of them, and some change the order in which a reader sees the others.
    """
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp", "Cs"):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 2**8 else f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"
