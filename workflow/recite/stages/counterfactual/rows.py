"""Which half of all texts each row belongs to."""

import pyarrow as pa

from recite.tables import Column, Table

HALF_NAMES = ("a", "b")
HALVES = Table(
    "halves",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("half", pa.string(), "", "a or b: the half of all texts that holds the row's"),
        Column("held", pa.uint32(), "row", "training rows that hold its text, all of them of that half"),
    ),
)
