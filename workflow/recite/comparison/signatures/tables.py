"""Layer profiles on one depth, and how alike those of two models are."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import MODEL

MEASURE = Column(
    "measure",
    pa.string(),
    "",
    "what is taken by layer: ablation (mean drop in hits by its heads), ablation_log_probability (in that of the true "
    "continuation), the same of memorized and of unmemorized rows, recovery (share of the similarity regained) or lens "
    "(probability of the true token)",
)
SIGNATURES = Table(
    "signatures",
    (
        MEASURE,
        *MODEL,
        Column("layers", pa.uint16(), "layer", "decoder layers that were measured"),
        Column("depth", pa.float64(), "", "relative depth, the same for all models of a measure"),
        Column("value", pa.float64(), "", "the measure there, between the model's layers on a straight line"),
    ),
)
SIGNATURE_PAIRS = Table(
    "signature_pairs",
    (
        MEASURE,
        *(column._replace(name=f"{column.name}_a") for column in MODEL),
        *(column._replace(name=f"{column.name}_b") for column in MODEL),
        Column(
            "similarity",
            pa.float64(),
            "",
            "correlation over depth, model size regressed out; NaN where a profile is flat",
            False,
        ),
    ),
)
SIGNATURE_TESTS = Table(
    "signature_tests",
    (
        MEASURE,
        Column("models", pa.uint64(), "model", "models whose profile is not flat"),
        Column("families", pa.uint64(), "family", "families of these models"),
        Column("within", pa.float64(), "", "mean similarity of two models of one family"),
        Column("between", pa.float64(), "", "mean similarity of two models of two families"),
        Column("difference", pa.float64(), "", "within - between"),
        Column(
            "difference_low",
            pa.float64(),
            "",
            "lower end of its interval for models of such families, each left out in turn; NaN for fewer than three",
            finite=False,
        ),
        Column("difference_high", pa.float64(), "", "upper end of that interval", finite=False),
        Column("p_value", pa.float64(), "", "of the hypothesis that families do not matter, by permutation"),
        Column("q_value", pa.float64(), "", "p_value adjusted for all lines of the table (Benjamini-Hochberg)"),
        Column("identified", pa.uint64(), "model", "models whose most similar other model is of their family"),
        Column("asked", pa.uint64(), "model", "models that have another one of their family"),
        Column("accuracy", pa.float64(), "", "identified / asked"),
        Column("accuracy_low", pa.float64(), "", "lower end of its Wilson interval"),
        Column("accuracy_high", pa.float64(), "", "upper end of its Wilson interval"),
        Column("chance", pa.float64(), "", "accuracy to be expected if any other model were the most similar one"),
        Column("accuracy_p_value", pa.float64(), "", "of the hypothesis that it is no better: the same permutations"),
    ),
)
