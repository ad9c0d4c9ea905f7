"""What becomes of the noise in each row's residual stream."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table

MEASURES = {
    "cosine": ("cosine of the disturbed and the undisturbed output", True),
    "baseline": ("the same if the noise were only carried along", True),
    "growth": ("size of the difference over that of the noise; NaN where the precision leaves no noise", False),
    "along": ("cosine of the difference and the noise; NaN where there is no difference", False),
}
"""What is compared: meaning, and whether it is always a number."""
_MEAN = "; mean over the prompt's positions, of every layer from the disturbed one on"

RECOVERED = Table(
    "recovered",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the row"),
        *(
            Column(name, pa.list_(pa.float32()), "", f"{meaning}{_MEAN}", finite)
            for name, (meaning, finite) in MEASURES.items()
        ),
    ),
)
