"""Scores under noise, row by row."""

import pyarrow as pa

from recite.stages.scoring.rows import SCORES
from recite.tables import Column, Table

NOISE_SCORES = Table(
    "noise_scores",
    (*SCORES.columns, Column("alpha", pa.float64(), "", "noise strength: sigma over the residual stream's RMS")),
)
