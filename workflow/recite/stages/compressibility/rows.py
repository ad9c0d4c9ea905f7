"""By which suffixes of its context each memorized row is still recited."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

SUFFIXES = Table(
    "suffixes",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table; only rows that are recited whole are here"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it, and what follows"),
        Column("domain", CATEGORY, "", "domain of the row"),
        INCLUSION,
        Column(
            "mask",
            pa.uint64(),
            "",
            "bit k - 1 is set if the last k tokens of the context suffice; that of the whole context always is",
        ),
        Column("shortest", pa.uint8(), "token", "the smallest sufficient number of tokens"),
    ),
)
