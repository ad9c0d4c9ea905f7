"""What a model of the study was trained on."""

import pyarrow as pa

from recite.tables import TOKENS, Column, Table

TRAINING_ROWS = Table(
    "training_rows",
    (
        Column("document_id", pa.string(), "", "document of the corpus"),
        Column("tokens", TOKENS, "token id", "the document's first tokens, or all of them: one training row"),
    ),
)

CONTROLS = Table(
    "controls",
    (
        Column("document_id", pa.string(), "", "planted document; its text occurs nowhere else"),
        Column("repetitions", pa.uint32(), "document", "how many documents to train on hold this text"),
    ),
)
