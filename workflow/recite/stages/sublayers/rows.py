"""What each drawn row loses by the attention and by the MLP of each layer; what these put out on average."""

from typing import Literal

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

SUBLAYERS: tuple[Literal["attention", "mlp"], ...] = ("attention", "mlp")
_WITHOUT = "without each sublayer: by layer, the attention before the MLP"

WITHOUT_SUBLAYERS = Table(
    "without_sublayers",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the row"),
        INCLUSION,
        Column("group", CATEGORY, "", "memorized, half or unmemorized by the row's score: for which it was drawn"),
        Column(
            "drawn_share", pa.float64(), "", "share of the model's scored rows of that group and domain that was drawn"
        ),
        Column(
            "clean_hits", pa.uint8(), "token", "tokens of the whole model's greedy continuation that are the true ones"
        ),
        Column("clean_log_probability", pa.float32(), "nat", "of the true continuation under the whole model"),
        Column("hits", pa.list_(pa.uint8()), "token", f"the same number {_WITHOUT}"),
        Column("log_probability", pa.list_(pa.float32()), "nat", f"of the true continuation {_WITHOUT}"),
    ),
)

SUBLAYER_MEANS = Table(
    "sublayer_means",
    (
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
        Column("sublayer", pa.string(), "", "attention or mlp"),
        Column("mean", pa.list_(pa.float32()), "", "mean output over rows and positions"),
    ),
)
