"""Kinds of domains within models, and profiles over domains between them."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import MODEL, NOISE_LAYER, with_interval

KINDS = Table(
    "kinds",
    (
        *MODEL,
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength; 0 where undisturbed"),
        Column("n", pa.uint64(), "row", "natural rows scored"),
        Column("memorized", pa.uint64(), "row", "natural rows memorized"),
        *with_interval("structural", "mean of the structural domains' rates"),
        *with_interval("free_text", "mean of the free-text domains' rates"),
        *with_interval("adjusted", "mean of the two: the rate of a corpus that is half structural, half free text"),
        *with_interval(
            "structural_share",
            "share of memorized rows of such a corpus that are structural; NaN without any",
            finite=False,
        ),
        *with_interval(
            "raw_share",
            "share of the memorized natural rows that are structural, as sampled (the paper's); NaN without any",
            finite=False,
        ),
        *with_interval("difference", "structural - free_text"),
        Column("p_value", pa.float64(), "", "of the hypothesis that the difference is 0, by the same bootstrap"),
        Column("q_value", pa.float64(), "", "p_value adjusted for all lines of the table (Benjamini-Hochberg)"),
    ),
)
PROFILES = Table(
    "profiles",
    (
        *(column._replace(name=f"{column.name}_a") for column in MODEL),
        *(column._replace(name=f"{column.name}_b") for column in MODEL),
        Column("classes", pa.uint64(), "class", "classes of text that both models' corpora have; three or more"),
        Column("rows", pa.uint64(), "row", "the fewer of the two models' rows in these classes"),
        *with_interval(
            "similarity",
            "correlation of the two models' rates by class of text, sampling noise taken off; NaN if nothing is left",
            finite=False,
        ),
    ),
)
