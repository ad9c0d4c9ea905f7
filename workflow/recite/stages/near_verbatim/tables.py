"""Rates of near-verbatim recall."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import DOMAIN, MODEL, NOISE_LAYER

NEAR_VERBATIM = Table(
    "near_verbatim",
    (
        *MODEL,
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength; 0 where undisturbed"),
        *DOMAIN,
        Column("tolerance", pa.float64(), "", "share of the continuation's tokens that may have to be edited"),
        Column("n", pa.uint64(), "row", "rows scored"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
        Column("recalled", pa.uint64(), "row", "rows whose edit distance is within the tolerance"),
        Column("rate", pa.float64(), "", "recalled / n"),
        Column("rate_low", pa.float64(), "", "lower end of the rate's Wilson interval at its effective rows"),
        Column("rate_high", pa.float64(), "", "upper end of the rate's Wilson interval at its effective rows"),
        Column(
            "mean_first_mismatch", pa.float64(), "", "mean number of leading true tokens over those of a continuation"
        ),
        Column("mean_distance", pa.float64(), "", "mean edit distance over the tokens of a continuation"),
        Column("mean_run", pa.float64(), "", "mean longest common run over the tokens of a continuation"),
    ),
)
