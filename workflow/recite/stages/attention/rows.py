"""What each drawn row attends to and loses without, and how each head attends in repeated random tokens."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

_WITHOUT = "without attention from the continuation to each place but `itself`, in the file's order"

ATTENDED = Table(
    "attended",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the row"),
        INCLUSION,
        Column(
            "group",
            CATEGORY,
            "",
            "for which the row was drawn: memorized, half or unmemorized by its score, or unseen, of no copy",
        ),
        Column(
            "drawn_share", pa.float64(), "", "share of the model's scored rows of that group and domain that was drawn"
        ),
        Column("clean_hits", pa.uint8(), "token", "tokens of the greedy continuation that are the true ones"),
        Column("clean_log_probability", pa.float32(), "nat", "of the true continuation"),
        Column("hits", pa.list_(pa.uint8()), "token", f"the same number {_WITHOUT}"),
        Column("log_probability", pa.list_(pa.float32()), "nat", f"of the true continuation {_WITHOUT}"),
        Column(
            "mass",
            pa.list_(pa.float32()),
            "",
            "attention to each place, by layer, head and place: sum of the weights of its keys, mean over the "
            "positions that predict the continuation",
        ),
    ),
)
INDUCED = Table(
    "induced",
    (
        Column("sequence", pa.uint32(), "", "number of the sequence of random tokens, from 0"),
        Column(
            "induction",
            pa.list_(pa.float32()),
            "",
            "weight of the token after a token's first occurrence where that recurs, mean, by layer and head",
        ),
        Column(
            "previous", pa.list_(pa.float32()), "", "weight of the token before, mean over positions, by layer and head"
        ),
    ),
)
