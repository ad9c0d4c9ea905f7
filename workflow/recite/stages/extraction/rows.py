"""How probable each row's true continuation is when tokens are drawn."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

EXTRACTED = Table(
    "extracted",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it, and what follows"),
        Column("domain", CATEGORY, "", "domain of the row"),
        INCLUSION,
        Column(
            "log_probability",
            pa.list_(pa.float32()),
            "nat",
            "log p_z of the true continuation, by scheme in the order of their names; -inf where one of its tokens is "
            "never drawn",
            finite=False,
        ),
    ),
)
