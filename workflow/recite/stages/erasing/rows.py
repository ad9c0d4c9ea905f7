"""What memorized rows still recite, and how much less probable other rows are, at every rung of every intervention.

Rungs are named in the files' metadata, in the order of the lists: `rungs`, see `Rung`.
"""

from typing import NamedTuple

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

MEMORIZED, OTHER = "memorized", "other"
RANKED, RANDOM, NONE = "ranked", "random", ""
NOISE, HEADS, SUBLAYERS, NEURONS = "noise", "heads", "sublayers", "neurons"


class Rung(NamedTuple):
    """One strength of one intervention.

    intervention: noise, heads, sublayers or neurons. order: ranked by what memorized rows lose, or random; "" of noise.
    strength: alpha of noise, else how many are replaced. share: of all that the model has; 0 of noise.
    """

    intervention: str
    order: str
    strength: float
    share: float


_NAMED = (
    Column("row_id", pa.uint64(), "", "row of the samples table"),
    Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it"),
    Column("domain", CATEGORY, "", "domain of the row"),
    INCLUSION,
)

RECALLED = Table(
    "recalled",
    (
        *_NAMED,
        Column(
            "drawn_share",
            pa.float64(),
            "",
            "share of the model's memorized rows of that domain that was drawn, for ranking and measuring",
        ),
        Column("clean_hits", pa.uint8(), "token", "true tokens of the whole model's greedy continuation"),
        Column("hits", pa.list_(pa.uint8()), "token", "the same at every rung"),
    ),
)

DAMAGED = Table(
    "damaged",
    (
        *_NAMED,
        Column(
            "drawn_share",
            pa.float64(),
            "",
            "share of the model's rows of that domain, unmemorized or of no copy, that was drawn",
        ),
        Column("clean_log_probability", pa.float32(), "nat", "of the true continuation under the whole model"),
        Column("log_probability", pa.list_(pa.float32()), "nat", "the same at every rung"),
    ),
)
