"""Recovery from noise by layer."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import COUNTED, GROUP, LAYER, MODEL, NOISE_LAYER, ROWS, with_interval

RECOVERY = Table(
    "recovery",
    (
        *MODEL,
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength"),
        ROWS,
        GROUP,
        *LAYER,
        *COUNTED,
        *with_interval("cosine", "mean cosine of the disturbed and the undisturbed output of the layer"),
        *with_interval(
            "regained",
            "(cosine - cosine of the disturbed layer) / (1 - cosine of the disturbed layer), of the means; NaN where "
            "that is 1",
            finite=False,
        ),
        *with_interval("baseline", "mean cosine if the noise were only carried along"),
        *with_interval("beyond", "cosine - baseline"),
        *with_interval("growth", "mean size of the difference over that of the noise; NaN without noise", finite=False),
        *with_interval("along", "mean cosine of the difference and the noise; NaN without difference", finite=False),
    ),
)
RECOVERY_TESTS = Table(
    "recovery_tests",
    (
        *MODEL,
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength"),
        ROWS,
        Column("measure", pa.string(), "", "what is compared: growth, beyond or regained, at the last layer"),
        Column("memorized_n", pa.uint64(), "row", "memorized rows"),
        Column("memorized_distinct", pa.uint64(), "text", "distinct texts among them"),
        Column("unmemorized_n", pa.uint64(), "row", "unmemorized rows"),
        Column("unmemorized_distinct", pa.uint64(), "text", "distinct texts among them"),
        *with_interval("difference", "of the measure, memorized rows - unmemorized rows", finite=False),
        Column("p_value", pa.float64(), "", "of the hypothesis that the difference is 0, by the same bootstrap"),
        Column("q_value", pa.float64(), "", "p_value adjusted for all lines of the table (Benjamini-Hochberg)"),
    ),
)
