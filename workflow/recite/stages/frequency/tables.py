"""Rates by corpus frequency, thresholds, and ways of counting held against each other."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import MODEL, RATE

_COUNTED = (
    *MODEL,
    Column("rows", pa.string(), "", "natural or planted: which rows"),
    Column("counting", pa.string(), "", "what was counted: bytes, own or other tokens, or by the public API"),
    Column("measure", pa.string(), "", "counts of sequence, context or continuation, or token_frequency"),
)
FREQUENCY_RATES = Table(
    "frequency_rates",
    (
        *_COUNTED,
        Column("from", pa.float64(), "occurrence", "least value of the bin; a share of the corpus for token_frequency"),
        Column("to", pa.float64(), "occurrence", "where the next bin begins"),
        Column(
            "middle", pa.float64(), "occurrence", "geometric mean of the rows' values; 0 in the bin of no occurrence"
        ),
        *RATE,
    ),
)
THRESHOLDS = Table(
    "thresholds",
    (
        *_COUNTED,
        Column("n", pa.uint64(), "row", "rows counted"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
        Column("floor", pa.float64(), "", "rate at the least count, by a curve over counts that only rises"),
        Column(
            "threshold",
            pa.float64(),
            "occurrence",
            "count at which that curve is the study's `rise` above its floor; inf where it does not rise so far",
            finite=False,
        ),
        Column("threshold_low", pa.float64(), "occurrence", "lower end of its bootstrap interval", False),
        Column("threshold_high", pa.float64(), "occurrence", "upper end of its bootstrap interval", False),
        Column("reached", pa.float64(), "", "share of the resamples whose curve rises so far"),
        Column(
            "shift",
            pa.float64(),
            "octave",
            "log2 of the threshold over that by the study's first way of counting; NaN where neither is reached",
            finite=False,
        ),
        Column("shift_low", pa.float64(), "octave", "lower end of its paired bootstrap interval", False),
        Column("shift_high", pa.float64(), "octave", "upper end of its paired bootstrap interval", False),
    ),
)
COUNTINGS = Table(
    "countings",
    (
        Column("family", pa.string(), "", "model family, whose rows were counted"),
        Column("measure", pa.string(), "", "counts of sequence, context or continuation"),
        Column("counting", pa.string(), "", "the way of counting"),
        Column("tokens", pa.string(), "", "whose tokens it counted, a family's or a tokenizer's; empty for bytes"),
        Column("reference", pa.string(), "", "the way that it is held against, the study's first"),
        Column("texts", pa.uint64(), "text", "distinct texts, each taken once"),
        Column("equal", pa.float64(), "", "share of texts with equal counts"),
        Column("missed", pa.float64(), "", "share of the texts that the reference finds, but this way does not"),
        Column(
            "bias",
            pa.float64(),
            "octave",
            "mean log2 of the count over the reference's, where both find the text; NaN where both find none",
            finite=False,
        ),
        Column("bias_low", pa.float64(), "octave", "lower end of its t-interval", finite=False),
        Column("bias_high", pa.float64(), "octave", "upper end of its t-interval", finite=False),
        Column(
            "correlation",
            pa.float64(),
            "",
            "Spearman's rank correlation with the reference; NaN where one is constant",
            finite=False,
        ),
        Column("correlation_low", pa.float64(), "", "lower end of its interval (Bonett & Wright 2000)", finite=False),
        Column("correlation_high", pa.float64(), "", "upper end of its interval (Bonett & Wright 2000)", finite=False),
    ),
)
