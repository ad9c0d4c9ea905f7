"""How probable each drawn row's continuation is after its own context and after unrelated ones."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

PRIORS = Table(
    "priors",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the row"),
        INCLUSION,
        Column("group", CATEGORY, "", "memorized, half or unmemorized by the row's score: for which it was drawn"),
        Column(
            "drawn_share", pa.float64(), "", "share of the model's scored rows of that group and domain that was drawn"
        ),
        Column("log_probability", pa.float32(), "nat", "of the true continuation after its own context"),
        Column("prior_log_probability", pa.float32(), "nat", "the same after unrelated contexts of its domain, mean"),
        Column("prior_hits", pa.float32(), "token", "true tokens that lead after an unrelated context, mean"),
        Column("prior_recited", pa.uint16(), "context", "unrelated contexts after which every true token leads"),
        Column(
            "template", CATEGORY, "", "repeating or incrementing: what gives the continuation away; empty for nothing"
        ),
    ),
)
