"""What each row loses by each attention head, and the mean output of each head."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table

_WITHOUT = "without each head, by layer of the file and then by head"

ABLATED = Table(
    "ablated",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the row"),
        Column(
            "clean_hits", pa.uint8(), "token", "tokens of the whole model's greedy continuation that are the true ones"
        ),
        Column("clean_log_probability", pa.float32(), "nat", "of the true continuation under the whole model"),
        Column("hits", pa.list_(pa.uint8()), "token", f"the same number {_WITHOUT}"),
        Column("log_probability", pa.list_(pa.float32()), "nat", f"of the true continuation {_WITHOUT}"),
    ),
)

HEAD_MEANS = Table(
    "head_means",
    (
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
        Column("mean", pa.list_(pa.float32()), "", "mean output of every head over rows and positions, head by head"),
    ),
)
