"""What each layer knows of the true continuation by both lenses, and at which depth it is known."""

import pyarrow as pa

from recite.stages.lens.tables import LENS
from recite.tables import Column, Table
from recite.tables.columns import GROUP, MODEL, with_interval

LENS_NAME = Column("lens", pa.string(), "", "logit: the plain lens, or tuned: after the layer's translator")
TUNED_LENS = Table("tuned_lens", (LENS_NAME, *LENS.columns))
TUNED_LENS_DEPTHS = Table(
    "tuned_lens_depths",
    (
        *MODEL,
        Column("rows", pa.string(), "", "natural or planted"),
        GROUP,
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
        Column("threshold", pa.string(), "", "absolute: a probability of 0.5; relative: half of the final one"),
        *with_interval("logit", "relative depth at which the plain lens passes it; NaN where never", finite=False),
        *with_interval("tuned", "the same by the tuned lens", finite=False),
        *with_interval(
            "difference",
            "tuned - logit, in the resamples in which both lenses pass it; NaN where one does not",
            finite=False,
        ),
    ),
)
TUNED_LENS_TRAINING = Table(
    "tuned_lens_training",
    (
        *MODEL,
        Column("trained_rows", pa.uint64(), "row", "rows that the translators were trained on"),
        Column("measured_rows", pa.uint64(), "row", "rows that were not, of which what follows is the mean of some"),
        Column("checked_rows", pa.uint64(), "row", "these rows"),
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
        Column("before", pa.float64(), "nat", "KL(model | layer), mean over positions, without a translator"),
        Column("after", pa.float64(), "nat", "the same with the trained translator"),
    ),
)
