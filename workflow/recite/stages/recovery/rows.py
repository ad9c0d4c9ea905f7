"""How alike each row's disturbed and undisturbed residual streams are."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table

RECOVERED = Table(
    "recovered",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the row"),
        Column(
            "cosines",
            pa.list_(pa.float32()),
            "",
            "cosine of the disturbed and the undisturbed output, mean over the prompt's positions, of every layer from "
            "the disturbed one on",
        ),
    ),
)
