"""Rows that translators were trained on, what they gained, and what layers say of the others through them."""

import pyarrow as pa

from recite.stages.lens.rows import DECODED
from recite.tables import CATEGORY, Column, Table

KEPT = Table(
    "kept_rows",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the row"),
        Column("kept", pa.bool_(), "", "whether it was kept to train translators on, and is not measured"),
    ),
)
TRANSLATION = Table(
    "translation",
    (
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0; the last one needs no translator"),
        Column(
            "before",
            pa.float64(),
            "nat",
            "KL divergence of what the layer says from what the model says in the end, mean over positions of rows "
            "that were not trained on; without a translator",
        ),
        Column("after", pa.float64(), "nat", "the same with the trained translator"),
    ),
)
TRANSLATED = Table("translated", DECODED.columns)
"""The measured rows, as the plain lens has them."""
