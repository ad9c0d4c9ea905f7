"""How near each greedy continuation comes to the true one."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

NEAR = Table(
    "near",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it, and what follows"),
        Column("domain", CATEGORY, "", "domain of the row"),
        INCLUSION,
        Column(
            "first_mismatch", pa.uint8(), "token", "leading tokens of the greedy continuation that are the true ones"
        ),
        Column("distance", pa.uint8(), "token", "Levenshtein distance of the greedy continuation from the true one"),
        Column("run", pa.uint8(), "token", "longest run of tokens that both hold, wherever it stands in either"),
    ),
)
