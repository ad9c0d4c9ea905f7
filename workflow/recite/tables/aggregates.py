"""The tables behind the figures."""

import pyarrow as pa

from recite.tables import Column, Table

_MODEL = (
    Column("model", pa.string(), "", "model"),
    Column("family", pa.string(), "", "model family"),
    Column("parameters", pa.uint64(), "parameter", "size of the model, embeddings included"),
)
_RATE = (
    Column("n", pa.uint64(), "row", "rows scored"),
    Column("distinct", pa.uint64(), "text", "distinct texts among the rows; rows of equal text have equal scores"),
    Column("effective_n", pa.float64(), "row", "independent rows that would carry as much information on the rate"),
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
_DOMAIN = (
    Column("domain", pa.string(), "", "domain, or `natural`: all domains but the planted controls"),
    Column("kind", pa.string(), "", "structural, free_text, planted, or mixed for `natural`"),
)

RATES = Table(
    "rates",
    (
        *_MODEL,
        *_DOMAIN,
        *_RATE,
        Column("half", pa.uint64(), "row", "rows whose score is at the threshold `half`: exactly half, by default"),
        Column(
            "unmemorized",
            pa.uint64(),
            "row",
            "rows whose score is at the threshold `unmemorized` or below: without a hit, by default",
        ),
        Column("between", pa.float64(), "", "share of rows that are neither memorized nor unmemorized"),
        Column("at_risk", pa.float64(), "", "share of rows whose smallest logit margin is under the dtype's noise"),
    ),
)

DISTRIBUTION = Table(
    "distribution",
    (
        *_MODEL,
        Column("hits", pa.uint8(), "token", "number of hits"),
        Column("n", pa.uint64(), "row", "natural rows with that number of hits"),
        Column("share", pa.float64(), "", "n over the model's natural rows"),
    ),
)

CONTROL_RATES = Table(
    "control_rates",
    (*_MODEL, Column("repetitions", pa.uint32(), "document", "planted copies in the training data"), *_RATE),
)

SCALING = Table(
    "scaling",
    (
        Column("family", pa.string(), "", "model family, or `pooled`: one line through the models of all families"),
        Column("rows", pa.string(), "", "natural or control: which rows the rate is taken over"),
        Column("models", pa.uint64(), "model", "models in the fit"),
        Column("slope", pa.float64(), "per decade", "change of the rate when the parameters grow tenfold"),
        Column(
            "slope_low", pa.float64(), "per decade", "lower end of the slope's bootstrap interval over distinct texts"
        ),
        Column(
            "slope_high", pa.float64(), "per decade", "upper end of the slope's bootstrap interval over distinct texts"
        ),
        Column("intercept", pa.float64(), "", "the line at one parameter"),
        Column(
            "r_squared",
            pa.float64(),
            "",
            "share of the rate's variance that the line explains; NaN where the rates are equal",
        ),
    ),
)

NOISE_RATES = Table(
    "noise_rates",
    (*_MODEL, Column("alpha", pa.float64(), "", "noise strength"), *_DOMAIN, *_RATE),
)

TABLES = {table.name: table for table in (RATES, DISTRIBUTION, CONTROL_RATES, SCALING, NOISE_RATES)}
"""Every table that figures and the report may read, by name."""
