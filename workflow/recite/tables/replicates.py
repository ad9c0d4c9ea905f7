"""Rates under resamples of the texts: what every fit and comparison takes its uncertainty from."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import NOISE_LAYER

REPLICATES = Table(
    "replicates",
    (
        Column("model", pa.string(), "", "model"),
        Column("family", pa.string(), "", "model family"),
        Column("parameters", pa.uint64(), "parameter", "size of the model, embeddings included"),
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength; 0 where undisturbed"),
        Column("domain", pa.string(), "", "domain of the rows"),
        Column("kind", pa.string(), "", "structural, free_text or planted"),
        Column("n", pa.uint64(), "row", "rows scored"),
        Column("memorized", pa.uint64(), "row", "rows memorized"),
        Column(
            "drawn_n",
            pa.list_(pa.uint32()),
            "row",
            "rows in each resample of the domain's texts; a resample is the same texts under all models of a corpus",
        ),
        Column("drawn_memorized", pa.list_(pa.uint32()), "row", "memorized rows in each resample"),
    ),
)
