"""Attention by place, beside what cutting it costs; heads by their induction, beside what they matter."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import COUNTED, GROUP, LAYER, MODEL, ROWS, with_interval

_KINDS = Column("rows", pa.string(), "", "natural, planted, or unseen: rows that the model was not trained on")
_DRAWN = (
    Column("n", pa.uint64(), "row", "rows of that group"),
    Column("drawn", pa.uint64(), "row", "those that were drawn"),
    Column("distinct", pa.uint64(), "text", "distinct texts among these"),
)
_PLACE = Column(
    "place",
    pa.string(),
    "",
    "where the keys are: first (the row's first token, BOS where there is one), a segment of the context, continuation "
    "(its tokens before the query), itself (the query)",
)
_EVEN = Column("even", pa.float64(), "", "the same of even attention to all that a query sees")
_SUM = "sum of the weights of the place's keys, mean over the positions that predict the continuation"
_CUT = "mean drop without attention from the continuation to the place, in all layers"

ATTENTION = Table(
    "attention",
    (
        *MODEL,
        _KINDS,
        GROUP,
        *_DRAWN,
        _PLACE,
        *with_interval("mass", f"{_SUM}, and over layers and heads"),
        _EVEN,
        *with_interval("hits_drop", f"{_CUT}, of the memorization score M; NaN of itself, which is not cut", "", False),
        *with_interval(
            "log_probability_drop",
            f"{_CUT}, of the true continuation's log-probability per token; NaN of itself",
            "nat",
            False,
        ),
    ),
)
ATTENTION_LAYERS = Table(
    "attention_layers",
    (*MODEL, _KINDS, GROUP, *_DRAWN, *LAYER, _PLACE, *with_interval("mass", f"{_SUM}, and over heads"), _EVEN),
)
_HEAD = Column("head", pa.uint16(), "head", "attention head of the layer, from 0")
ATTENTION_HEADS = Table(
    "attention_heads",
    (*MODEL, _KINDS, GROUP, *_DRAWN, *LAYER, _HEAD, _PLACE, *with_interval("mass", _SUM), _EVEN),
)
INDUCTION = Table(
    "induction",
    (
        *MODEL,
        *LAYER,
        _HEAD,
        Column("sequences", pa.uint32(), "sequence", "sequences of random tokens, which the intervals resample"),
        *with_interval("induction", "weight of the token after a token's first occurrence where that recurs"),
        Column("even", pa.float64(), "", "the same of even attention to all that a query sees"),
        *with_interval("previous", "weight of the token before"),
    ),
)
INDUCTION_OVERLAP = Table(
    "induction_overlap",
    (
        *MODEL,
        GROUP,
        ROWS,
        Column("measure", pa.string(), "", "importance by hits, ties by log-probability; or by log_probability alone"),
        Column("score", pa.string(), "", "induction or previous: what heads are told by"),
        *COUNTED,
        Column("heads", pa.uint32(), "head", "heads of the model that were ablated"),
        Column("k", pa.uint32(), "head", "a fifth of them"),
        *with_interval(
            "rank_correlation", "Spearman correlation of importance and score; NaN where they do not vary", "", False
        ),
        *with_interval(
            "within_layers", "the same of ranks among the heads of a layer, of all layers together", "", False
        ),
        *with_interval("shared", "share of the k heads that matter most that are among the k of the highest score"),
        Column("chance", pa.float64(), "", "what k random heads share on average: k / heads"),
        Column("chance_low", pa.float64(), "", "lower end of the interval that random ones lie in"),
        Column("chance_high", pa.float64(), "", "upper end of the interval that random ones lie in"),
    ),
)
