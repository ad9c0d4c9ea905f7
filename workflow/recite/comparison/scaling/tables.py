"""Rates against model size."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import MODEL, ROWS

SCALING = Table(
    "scaling",
    (
        Column(
            "family",
            pa.string(),
            "",
            "model family, or `common`: one slope for all, each family with its own intercept",
        ),
        ROWS,
        Column("models", pa.uint64(), "model", "models in the fit"),
        Column("slope", pa.float64(), "per decade", "change of the rate when the parameters grow tenfold"),
        Column("slope_low", pa.float64(), "per decade", "lower end of the slope's bootstrap interval"),
        Column("slope_high", pa.float64(), "per decade", "upper end of the slope's bootstrap interval"),
        Column("p_value", pa.float64(), "", "of the hypothesis that the slope is 0, by the same bootstrap"),
        Column("q_value", pa.float64(), "", "p_value adjusted for all lines of the table (Benjamini-Hochberg)"),
        Column("intercept", pa.float64(), "", "the line at one parameter; if common, through the mean of all models"),
        Column(
            "r_squared",
            pa.float64(),
            "",
            "share of the rate's variance, if common within families, that the line explains; NaN if rates are equal",
            finite=False,
        ),
    ),
)
SLOPE_TESTS = Table(
    "slope_tests",
    (
        ROWS,
        Column("families", pa.uint64(), "family", "families with models of two sizes or more"),
        Column("models", pa.uint64(), "model", "models of these families"),
        Column("f", pa.float64(), "", "F statistic of one slope per family against one slope for all (ANCOVA)"),
        Column("df_between", pa.uint64(), "", "its degrees of freedom: families - 1"),
        Column("df_residual", pa.uint64(), "", "its degrees of freedom: models - 2 x families"),
        Column("p_value", pa.float64(), "", "of the hypothesis that all families share one slope"),
    ),
)
PREDICTIONS = Table(
    "predictions",
    (
        *MODEL,
        ROWS,
        Column(
            "models", pa.uint64(), "model", "smaller models of the family, whose line predicts this one, the largest"
        ),
        Column("observed", pa.float64(), "", "rate of the model"),
        Column("predicted", pa.float64(), "", "the line of the smaller models at this model's size"),
        Column("predicted_low", pa.float64(), "", "lower end of the prediction's bootstrap interval"),
        Column("predicted_high", pa.float64(), "", "upper end of the prediction's bootstrap interval"),
        Column("difference", pa.float64(), "", "observed - predicted"),
        Column("difference_low", pa.float64(), "", "lower end of the difference's bootstrap interval"),
        Column("difference_high", pa.float64(), "", "upper end of the difference's bootstrap interval"),
    ),
)
