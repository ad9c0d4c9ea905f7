"""How often the text of each row occurs in the corpus that its models were trained on."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table

FREQUENCIES = Table(
    "frequencies",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it, and their counts"),
        Column("domain", CATEGORY, "", "domain of the row"),
        Column("sequence", pa.uint64(), "occurrence", "occurrences of context and continuation together"),
        Column("context", pa.uint64(), "occurrence", "occurrences of the context"),
        Column("continuation", pa.uint64(), "occurrence", "occurrences of the continuation"),
        Column(
            "token_frequency",
            pa.float64(),
            "",
            "mean over the sequence's tokens (or bytes) of the token's share of the corpus",
        ),
    ),
)
