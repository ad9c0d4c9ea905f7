"""The documents of a corpus that a sample may hold."""

from collections.abc import Sequence

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table

CANDIDATES = Table(
    "candidates",
    (
        Column("key", pa.uint64(), "", "hash of seed, corpus and document id; a sample takes the smallest"),
        Column("domain", CATEGORY, "", "domain of the document in its corpus"),
        Column("document_id", pa.string(), "", "the document's own identifier in the corpus"),
        Column("source_file", pa.string(), "", "corpus file that holds the document, relative to the corpus"),
        Column("source_row", pa.uint64(), "line", "position of the document in that file, from 0"),
        Column("start", pa.uint64(), "character", "where in the document the excerpt starts"),
        Column("whole", pa.bool_(), "", "whether the document ends with the excerpt"),
        Column("excerpt", pa.string(), "", "the text that the row's tokens are taken from"),
    ),
)


def in_order(tables: Sequence[pa.Table]) -> pa.Table:
    """Candidates of some tables in one, by key; those of one key, which bear one identifier, by place in the corpus."""
    places = [("key", "ascending"), ("source_file", "ascending"), ("source_row", "ascending")]
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().sort_by(places)
