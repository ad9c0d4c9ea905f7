"""Greedy continuations set against the corpus, row by row."""

import pyarrow as pa

from recite.tables import CATEGORY, TOKENS, Column, Table
from recite.tables.columns import INCLUSION

SCORES = Table(
    "scores",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it, and their score"),
        Column("domain", CATEGORY, "", "domain of the row"),
        INCLUSION,
        Column("hits", pa.uint8(), "token", "positions at which the generated token equals the corpus's; M = hits / n"),
        Column("first_mismatch", pa.uint8(), "token", "first position that differs; n where none does"),
        Column("generated", TOKENS, "token id", "the greedy continuation"),
        Column("margin", pa.float32(), "logit", "smallest gap between the best and second-best logit over all steps"),
    ),
)
