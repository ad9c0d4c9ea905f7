"""Which rows are ablated, what each loses by each attention head, which heads go on, and each head's mean output."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

_WITHOUT = "without each of `heads`"

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
        Column("round", pa.uint8(), "", "round in which the row is ablated for its group, from 0"),
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
        Column(
            "heads",
            pa.list_(pa.uint16()),
            "",
            "the heads that were ablated: heads of a layer x layer, from 0, + head of the layer, from 0",
        ),
        Column(
            "hits",
            pa.list_(pa.uint8()),
            "token",
            f"the same number {_WITHOUT}; a row that has none to lose is not continued, and keeps none",
        ),
        Column("log_probability", pa.list_(pa.float32()), "nat", f"of the true continuation {_WITHOUT}"),
    ),
)

OPEN_HEADS = Table(
    "open_heads",
    (
        Column("domain", pa.string(), "", "domain of the rows"),
        Column("group", pa.string(), "", "group of the rows"),
        Column("head", pa.uint16(), "", "heads of a layer x layer + head of the layer, both from 0"),
        Column("n", pa.uint64(), "row", "rows of that group in that domain that were continued without the head"),
        Column(
            "probability",
            pa.float64(),
            "",
            "that the head is in the fifth that matters most by all rows drawn, when its place was last looked at",
        ),
        Column("open", pa.bool_(), "", "whether the next round goes on with the head"),
    ),
)

HEAD_MEANS = Table(
    "head_means",
    (
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
        Column("mean", pa.list_(pa.float32()), "", "mean output of every head over rows and positions, head by head"),
    ),
)
