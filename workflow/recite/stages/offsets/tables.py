"""Rates by place in the document and by length of the context, and what a later place loses."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import DOMAIN, MODEL, with_interval

WINDOW = (
    Column("place", pa.uint32(), "token", "tokens of the document before the window"),
    Column("context", pa.uint16(), "token", "tokens of the window's context"),
)
OFFSETS = Table(
    "offsets",
    (
        *MODEL,
        *DOMAIN,
        *WINDOW,
        Column("documents", pa.uint64(), "document", "sampled documents"),
        Column("short", pa.uint64(), "document", "those that end before the window does"),
        Column("cut", pa.uint64(), "document", "those whose text was not read as far as the window's end"),
        Column("n", pa.uint64(), "row", "the others, which have the window"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the windows"),
        Column("memorized", pa.uint64(), "row", "windows whose score is at the threshold `memorized` or above"),
        Column("rate", pa.float64(), "", "memorized / n; NaN where no document has the window", finite=False),
        Column(
            "rate_low", pa.float64(), "", "lower end of its Wilson interval at its effective rows; NaN as it", False
        ),
        Column(
            "rate_high", pa.float64(), "", "upper end of its Wilson interval at its effective rows; NaN as it", False
        ),
        Column("mean_score", pa.float64(), "", "mean memorization score M; NaN as the rate", finite=False),
    ),
)
OFFSET_CHANGES = Table(
    "offset_changes",
    (
        *MODEL,
        *DOMAIN,
        *WINDOW,
        Column("n", pa.uint64(), "document", "documents with the window and with that at place 0, of the same lengths"),
        Column("distinct", pa.uint64(), "text", "groups of documents that share a window at either place"),
        Column("lost", pa.uint64(), "document", "those whose window at place 0 is memorized and this one is not"),
        Column("gained", pa.uint64(), "document", "those of which it is the other way round"),
        Column("rate_first", pa.float64(), "", "rate at place 0 of these documents"),
        *with_interval("change", "rate at this place less rate_first, of the same documents"),
    ),
)
