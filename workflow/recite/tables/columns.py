"""Columns that many of the tables behind the figures share."""

import pyarrow as pa

from recite.tables import Column

MODEL = (
    Column("model", pa.string(), "", "model"),
    Column("family", pa.string(), "", "model family"),
    Column("parameters", pa.uint64(), "parameter", "size of the model, embeddings included"),
)
NOISE_LAYER = Column(
    "noise_layer", pa.uint16(), "layer", "decoder layer whose output is disturbed, from 0; 0 too where none is"
)
ROWS = Column("rows", pa.string(), "", "natural or planted: which rows the rate is taken over")


def with_interval(name: str, meaning: str, unit: str = "", finite: bool = True) -> tuple[Column, ...]:
    """A statistic with its bootstrap interval over texts."""
    return (
        Column(name, pa.float64(), unit, meaning, finite),
        Column(f"{name}_low", pa.float64(), unit, f"lower end of the bootstrap interval of {name} over texts", finite),
        Column(f"{name}_high", pa.float64(), unit, f"upper end of the bootstrap interval of {name} over texts", finite),
    )
