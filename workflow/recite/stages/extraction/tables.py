"""How many rows so many draws would extract."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import DOMAIN, MODEL, NOISE_LAYER

EXTRACTION = Table(
    "extraction",
    (
        *MODEL,
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength; 0 where undisturbed"),
        *DOMAIN,
        Column(
            "scheme", pa.string(), "", "how tokens are drawn: plain, as the model says, or one that the config names"
        ),
        Column("draws", pa.uint64(), "", "draws of a continuation"),
        Column("probability", pa.float64(), "", "probability with which one of the draws is to be the true one"),
        Column("n", pa.uint64(), "row", "rows, the first of each domain's sample"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
        Column("extractable", pa.uint64(), "row", "rows with 1 - (1 - p_z)^draws of at least that probability"),
        Column("rate", pa.float64(), "", "extractable / n"),
        Column("rate_low", pa.float64(), "", "lower end of the rate's Wilson interval at its effective rows"),
        Column("rate_high", pa.float64(), "", "upper end of the rate's Wilson interval at its effective rows"),
        Column("greedy", pa.float64(), "", "share of the same rows whose greedy continuation is the true one"),
        Column("greedy_low", pa.float64(), "", "lower end of its Wilson interval at its effective rows"),
        Column("greedy_high", pa.float64(), "", "upper end of its Wilson interval at its effective rows"),
    ),
)
