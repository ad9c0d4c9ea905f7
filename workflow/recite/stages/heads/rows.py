"""Which rows are ablated; what each loses by each attention head, estimated and exactly; each head's mean output."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

_WITHOUT = "without each head that was ablated, by layer of the file and then by head"

ABLATION_ROWS = Table(
    "ablation_rows",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table; it may stand in several groups"),
        Column("domain", CATEGORY, "", "domain of the row"),
        Column(
            "group",
            CATEGORY,
            "",
            "memorized, half or unmemorized by the row's score under the model, or all: the first of the domain's rows",
        ),
        Column(
            "inclusion_probability",
            pa.float64(),
            "",
            "share of the model's scored rows of that group in that domain that was drawn",
        ),
    ),
)

ABLATED = Table(
    "ablated",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the row"),
        INCLUSION,
        Column(
            "clean_hits", pa.uint8(), "token", "tokens of the whole model's greedy continuation that are the true ones"
        ),
        Column("clean_log_probability", pa.float32(), "nat", "of the true continuation under the whole model"),
        Column("hits", pa.list_(pa.uint8()), "token", f"the same number {_WITHOUT}"),
        Column("log_probability", pa.list_(pa.float32()), "nat", f"of the true continuation {_WITHOUT}"),
        Column("estimate", pa.list_(pa.float32()), "nat", f"size of its change to first order {_WITHOUT}"),
    ),
)

SCREENED = Table(
    "screened",
    (
        Column("domain", pa.string(), "", "domain of the rows, or all: every natural domain"),
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
        Column("head", pa.uint16(), "head", "attention head of the layer, from 0"),
        Column("n", pa.uint64(), "row", "rows of that domain"),
        Column(
            "estimate",
            pa.float64(),
            "nat",
            "mean size of the change of the true continuation's log-probability without the head, to first order",
        ),
    ),
)

HEAD_MEANS = Table(
    "head_means",
    (
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
        Column("mean", pa.list_(pa.float32()), "", "mean output of every head over rows and positions, head by head"),
    ),
)
