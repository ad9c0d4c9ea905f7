"""Columns that many of the tables behind the figures share."""

import pyarrow as pa

from recite.tables import Column

INCLUSION = Column(
    "inclusion_probability", pa.float64(), "", "chance that an eligible document of the domain is in the sample"
)
MODEL = (
    Column("model", pa.string(), "", "model"),
    Column("family", pa.string(), "", "model family"),
    Column("parameters", pa.uint64(), "parameter", "size of the model, embeddings included"),
)
NOISE_LAYER = Column(
    "noise_layer", pa.uint16(), "layer", "decoder layer whose output is disturbed, from 0; 0 too where none is"
)
ROWS = Column("rows", pa.string(), "", "natural or planted: which rows the rate is taken over")

DOMAIN = (
    Column("domain", pa.string(), "", "domain, or `natural`: all domains but those that are planted or held out"),
    Column("kind", pa.string(), "", "structural, free_text, planted, held_out, or mixed for `natural`"),
)
RATE = (
    Column("n", pa.uint64(), "row", "rows scored"),
    Column("distinct", pa.uint64(), "text", "distinct texts among the rows; rows of equal text have equal scores"),
    Column(
        "effective_n",
        pa.float64(),
        "row",
        "independent rows that would carry as much information on the rate; infinite for a census",
        finite=False,
    ),
    Column(
        "memorized",
        pa.uint64(),
        "row",
        "rows whose score is at the threshold `memorized` or above: recited whole, by default",
    ),
    Column("rate", pa.float64(), "", "memorized / n"),
    Column("rate_low", pa.float64(), "", "lower end of the rate's Wilson interval at effective_n rows"),
    Column("rate_high", pa.float64(), "", "upper end of the rate's Wilson interval at effective_n rows"),
    Column("mean_score", pa.float64(), "", "mean memorization score M"),
)
GROUP = Column("group", pa.string(), "", "memorized, half or unmemorized by their score, or all: whatever the score")
LAYER = (
    Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
    Column("depth", pa.float64(), "", "(layer + 1) / layers of the model"),
)
COUNTED = (
    Column("n", pa.uint64(), "row", "rows of that group"),
    Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
)


def with_interval(name: str, meaning: str, unit: str = "", finite: bool = True) -> tuple[Column, ...]:
    """A statistic with its bootstrap interval, over what the study's estimand resamples."""
    return (
        Column(name, pa.float64(), unit, meaning, finite),
        Column(f"{name}_low", pa.float64(), unit, f"lower end of the bootstrap interval of {name}", finite),
        Column(f"{name}_high", pa.float64(), unit, f"upper end of the bootstrap interval of {name}", finite),
    )
