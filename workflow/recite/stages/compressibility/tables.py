"""How much of their contexts the memorized rows need."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import DOMAIN, MODEL, with_interval

COMPRESSIBILITY = Table(
    "compressibility",
    (
        *MODEL,
        *DOMAIN,
        Column("n", pa.uint64(), "row", "rows that the model recites whole"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows; rows of equal text have equal ratios"),
        *with_interval("mean_ratio", "mean of the shortest sufficient suffix over the context, in tokens"),
        Column("median_ratio", pa.float64(), "", "median of the same ratio"),
        Column("short", pa.float64(), "", "share of rows that half of the context, or less, suffices for"),
        Column("short_low", pa.float64(), "", "lower end of the Wilson interval of short at effective_n rows"),
        Column("short_high", pa.float64(), "", "upper end of the Wilson interval of short at effective_n rows"),
        Column(
            "effective_n",
            pa.float64(),
            "row",
            "independent rows that would carry as much information on short; infinite for a census",
            finite=False,
        ),
        Column(
            "non_monotone",
            pa.float64(),
            "",
            "share of rows that some suffix does not suffice for though a shorter one does",
        ),
        Column("non_monotone_low", pa.float64(), "", "lower end of its Wilson interval at its own effective rows"),
        Column("non_monotone_high", pa.float64(), "", "upper end of its Wilson interval at its own effective rows"),
    ),
)
SUFFIX_LENGTHS = Table(
    "suffix_lengths",
    (
        *MODEL,
        Column("length", pa.uint8(), "token", "length of the suffix"),
        Column("ratio", pa.float64(), "", "length over that of the context"),
        Column("n", pa.uint64(), "row", "natural rows that the model recites whole"),
        Column("shortest", pa.uint64(), "row", "rows whose shortest sufficient suffix has this length"),
        Column("shortest_share", pa.float64(), "", "shortest / n"),
        Column("sufficient", pa.uint64(), "row", "rows that the suffix of this length suffices for"),
        Column("sufficient_share", pa.float64(), "", "sufficient / n"),
    ),
)
