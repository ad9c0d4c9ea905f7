"""What became of each row along a model's training."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table
from recite.tables.columns import INCLUSION

FOLLOWED = Table(
    "followed",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it, and what follows"),
        Column("domain", CATEGORY, "", "domain of the row"),
        INCLUSION,
        Column(
            "hits", pa.list_(pa.uint8()), "token", "hits at every checkpoint, in the order of the metadata's `steps`"
        ),
        Column("learnt", pa.uint32(), "step", "training step of the first checkpoint that recites it; 0: none does"),
        Column("kept", pa.bool_(), "", "whether that and every later checkpoint, the last too, recite it"),
        Column("forgotten", pa.uint16(), "", "how often a checkpoint recites it and the next one does not"),
        Column("relearnt", pa.uint16(), "", "how often it is recited again after that"),
        Column(
            "seen",
            pa.list_(pa.uint32()),
            "step",
            "steps, from 1, of which a training row held its text, one each time; empty where that is not known",
        ),
    ),
)
