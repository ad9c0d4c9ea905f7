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
    Column("memorized", pa.uint64(), "row", "rows whose continuation is recited whole"),
    Column("rate", pa.float64(), "", "memorized / n"),
    Column("rate_low", pa.float64(), "", "lower end of the Wilson interval of the rate"),
    Column("rate_high", pa.float64(), "", "upper end of the Wilson interval of the rate"),
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
        Column("half", pa.uint64(), "row", "half-memorized rows: exactly half of the continuation hits"),
        Column("unmemorized", pa.uint64(), "row", "rows without a single hit"),
        Column("between", pa.float64(), "", "share of rows with a score strictly between 0 and 1"),
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
        Column("slope_low", pa.float64(), "per decade", "lower end of the slope's bootstrap interval over documents"),
        Column("slope_high", pa.float64(), "per decade", "upper end of the slope's bootstrap interval over documents"),
        Column("intercept", pa.float64(), "", "the line at one parameter"),
        Column("r_squared", pa.float64(), "", "share of the rate's variance that the line explains"),
    ),
)

NOISE_RATES = Table(
    "noise_rates",
    (*_MODEL, Column("alpha", pa.float64(), "", "noise strength"), *_DOMAIN, *_RATE),
)
