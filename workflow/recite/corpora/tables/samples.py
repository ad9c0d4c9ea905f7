"""The sequences whose memorization is measured."""

import pyarrow as pa

from recite.tables import CATEGORY, TOKENS, Column, Table
from recite.tables.columns import INCLUSION

SAMPLES = Table(
    "samples",
    (
        Column("row_id", pa.uint64(), "", "hash of corpus, document id and window start; names the row everywhere"),
        Column("sequence_id", pa.uint64(), "", "hash of the row's tokens; rows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the document in its corpus"),
        Column("document_id", pa.string(), "", "the document's own identifier in the corpus"),
        Column("source_file", pa.string(), "", "corpus file that holds the document, relative to the corpus"),
        Column("source_row", pa.uint64(), "line", "position of the document in that file, from 0"),
        Column("window_start", pa.uint64(), "character", "where in the document the window starts"),
        Column("text", pa.binary(), "byte", "UTF-8 bytes of the window's text"),
        Column("context_bytes", pa.uint32(), "byte", "how many of them are the context's"),
        Column("context", TOKENS, "token id", "the tokens that the model is given"),
        Column("continuation", TOKENS, "token id", "the tokens that follow in the corpus"),
        INCLUSION,
    ),
)
