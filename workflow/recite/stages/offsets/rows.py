"""The sampled documents' beginnings, and what a model recites of windows in them."""

import pyarrow as pa

from recite.tables import CATEGORY, TOKENS, Column, Table
from recite.tables.columns import INCLUSION

BEGINNINGS = Table(
    "beginnings",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table that is of this document"),
        Column("domain", CATEGORY, "", "domain of the document in its corpus"),
        INCLUSION,
        Column("tokens", TOKENS, "token id", "the document's first tokens"),
        Column("whole", pa.bool_(), "", "whether the document was read to its end, or else its text was cut off"),
    ),
)
OFFSET_SCORES = Table(
    "offset_scores",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table that is of the same document"),
        Column("sequence_id", pa.uint64(), "", "hash of the window's tokens; windows of equal text share it"),
        Column("domain", CATEGORY, "", "domain of the document in its corpus"),
        INCLUSION,
        Column("place", pa.uint32(), "token", "tokens of the document before the window"),
        Column("context", pa.uint16(), "token", "tokens of the window's context"),
        Column("hits", pa.uint8(), "token", "positions at which the generated token equals the corpus's; M = hits / n"),
        Column("margin", pa.float32(), "logit", "smallest gap between the best and second-best logit over all steps"),
    ),
)
