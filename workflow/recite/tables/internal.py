"""The tables behind the figures of the internal level: recovery from noise, layer decoding, head ablation."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import MODEL, NOISE_LAYER, ROWS, with_interval
from recite.tables.lens import AMOUNTS, COUNTS

_GROUP = Column("group", pa.string(), "", "memorized, half or unmemorized by their score, or all: whatever the score")
_LAYER = (
    Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
    Column("depth", pa.float64(), "", "(layer + 1) / layers of the model"),
)
_COUNTED = (
    Column("n", pa.uint64(), "row", "rows of that group"),
    Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
)
_AVERAGED = {name: (unit, f"{meaning}, mean") for name, (unit, meaning) in AMOUNTS.items() if name != "log_rank"}
_AVERAGED |= {"rank": ("", "rank of the true token, geometric mean; 1 where it leads")}
_SHARES = {name: f"share of positions at which {meaning}" for name, meaning in COUNTS.items()}

RECOVERY = Table(
    "recovery",
    (
        *MODEL,
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength"),
        ROWS,
        _GROUP,
        *_LAYER,
        *_COUNTED,
        *with_interval("cosine", "mean cosine of the disturbed and the undisturbed output of the layer"),
        *with_interval(
            "recovered", "(cosine - cosine of the disturbed layer) / (1 - cosine of the disturbed layer), of the means"
        ),
    ),
)

RECOVERY_TESTS = Table(
    "recovery_tests",
    (
        *MODEL,
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength"),
        ROWS,
        Column("memorized_n", pa.uint64(), "row", "memorized rows"),
        Column("memorized_distinct", pa.uint64(), "text", "distinct texts among them"),
        Column("unmemorized_n", pa.uint64(), "row", "unmemorized rows"),
        Column("unmemorized_distinct", pa.uint64(), "text", "distinct texts among them"),
        *with_interval("difference", "share recovered at the last layer, memorized rows - unmemorized rows"),
        Column("p_value", pa.float64(), "", "of the hypothesis that the difference is 0, by the same bootstrap"),
        Column("q_value", pa.float64(), "", "p_value adjusted for all lines of the table (Benjamini-Hochberg)"),
    ),
)

LENS = Table(
    "lens",
    (
        *MODEL,
        ROWS,
        _GROUP,
        *_LAYER,
        *_COUNTED,
        *(
            column
            for name, (unit, meaning) in _AVERAGED.items()
            for column in with_interval(name, f"{meaning} over rows and positions", unit)
        ),
        *(column for name, meaning in _SHARES.items() for column in with_interval(name, meaning)),
    ),
)

LENS_POSITIONS = Table(
    "lens_positions",
    (
        *MODEL,
        ROWS,
        _GROUP,
        *_LAYER,
        Column("position", pa.uint8(), "token", "position in the continuation, from 1"),
        Column("n", pa.uint64(), "row", "rows of that group"),
        *(Column(name, pa.float64(), unit, f"{meaning} over the rows") for name, (unit, meaning) in _AVERAGED.items()),
        *(
            Column(name, pa.float64(), "", meaning.replace("share of positions at", "share of rows in"))
            for name, meaning in _SHARES.items()
        ),
    ),
)

LENS_PROFILES = Table(
    "lens_profiles",
    (
        *(column._replace(name=f"{column.name}_a") for column in MODEL),
        *(column._replace(name=f"{column.name}_b") for column in MODEL),
        Column(
            "distinct", pa.uint64(), "text", "distinct texts among the memorized natural rows, of the model with fewer"
        ),
        *with_interval(
            "similarity",
            "Pearson correlation, over a common relative depth, of the true token's mean probability in the memorized "
            "natural rows of the two models",
        ),
    ),
)

HEADS = Table(
    "heads",
    (
        *MODEL,
        ROWS,
        Column("domain", pa.string(), "", "domain of the rows, or all: every domain of that kind of rows"),
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
        Column("head", pa.uint16(), "head", "attention head of the layer, from 0"),
        Column("depth", pa.float64(), "", "(layer + 1) / layers of the model"),
        Column("n", pa.uint64(), "row", "rows that were continued without the head"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
        *with_interval("hits_drop", "mean drop of the memorization score M without the head"),
        *with_interval(
            "log_probability_drop",
            "mean drop without the head of the true continuation's log-probability per token",
            "nat",
        ),
        Column(
            "rank",
            pa.uint32(),
            "",
            "rank of the head among the model's, from 1, by hits_drop, of equal ones by log_probability_drop",
        ),
    ),
)
