"""Recall left against damage done, for every rung of every intervention, and interventions at equal damage."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import MODEL, ROWS, with_interval

_INTERVENTION = (
    Column("intervention", pa.string(), "", "noise, heads, sublayers or neurons"),
    Column(
        "order",
        pa.string(),
        "",
        "ranked: those by which memorized rows of the other half lose most; or random; empty of noise",
    ),
)
_COUNTED = (
    Column("n", pa.uint64(), "row", "memorized rows that are measured"),
    Column("distinct", pa.uint64(), "text", "distinct texts among these"),
    Column("others", pa.uint64(), "row", "other rows: unmemorized, or of no copy"),
    Column("others_distinct", pa.uint64(), "text", "distinct texts among these"),
)

ERASING = Table(
    "erasing",
    (
        *MODEL,
        ROWS,
        *_INTERVENTION,
        Column("strength", pa.float64(), "", "alpha of noise, else how many are replaced; 0 of the whole model"),
        Column("share", pa.float64(), "", "of all that the model has; 0 of noise and of the whole model"),
        *_COUNTED,
        *with_interval("recall", "mean memorization score M of memorized rows"),
        *with_interval("recited", "share of memorized rows that are recited whole"),
        *with_interval("damage", "mean loss of log-probability of other rows' true continuations per token", "nat"),
    ),
)
ERASED = Table(
    "erased",
    (
        *MODEL,
        ROWS,
        *_INTERVENTION,
        Column("damage", pa.float64(), "nat", "what other rows lose in log-probability per token"),
        *_COUNTED,
        *with_interval(
            "recall",
            "mean score M where the ladder first does that damage; NaN where it or a resample in twenty does not",
            finite=False,
        ),
        *with_interval("recited", "share recited whole there", finite=False),
        *with_interval("below_noise", "recall under noise of that damage, less this recall", finite=False),
        *with_interval("below_random", "recall of random sets at that damage, less this recall", finite=False),
    ),
)
