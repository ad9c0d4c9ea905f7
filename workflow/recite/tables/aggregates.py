"""The tables behind the figures."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import MODEL as _MODEL
from recite.tables.columns import NOISE_LAYER
from recite.tables.columns import ROWS as _ROWS
from recite.tables.columns import with_interval as _with_interval
from recite.tables.internal import (
    HEADS,
    LENS,
    LENS_POSITIONS,
    LENS_PROFILES,
    OVERLAP,
    POWER,
    RECOVERY,
    RECOVERY_TESTS,
    SCREENING,
)
from recite.tables.signatures import FACTORIAL, SIGNATURE_PAIRS, SIGNATURE_TESTS, SIGNATURES

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
        Column("between_low", pa.float64(), "", "lower end of its Wilson interval at that share's effective rows"),
        Column("between_high", pa.float64(), "", "upper end of its Wilson interval at that share's effective rows"),
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

DISJOINT_SAMPLES = Table(
    "disjoint_samples",
    (
        *_MODEL,
        Column("domain", pa.string(), "", "domain whose sample is cut into two samples without a common text"),
        Column("kind", pa.string(), "", "structural, free_text or planted"),
        Column("first_n", pa.uint64(), "row", "rows of the first sample"),
        Column("first_rate", pa.float64(), "", "memorization rate of the first sample"),
        Column("second_n", pa.uint64(), "row", "rows of the second sample"),
        Column("second_rate", pa.float64(), "", "memorization rate of the second sample"),
        Column(
            "p_value", pa.float64(), "", "of the hypothesis that both have one rate: score test at the effective rows"
        ),
        Column("q_value", pa.float64(), "", "p_value adjusted for all lines of the table (Benjamini-Hochberg)"),
    ),
)

SCALING = Table(
    "scaling",
    (
        Column("family", pa.string(), "", "model family, or `pooled`: one line through the models of all families"),
        _ROWS,
        Column("models", pa.uint64(), "model", "models in the fit"),
        Column("slope", pa.float64(), "per decade", "change of the rate when the parameters grow tenfold"),
        Column("slope_low", pa.float64(), "per decade", "lower end of the slope's bootstrap interval over texts"),
        Column("slope_high", pa.float64(), "per decade", "upper end of the slope's bootstrap interval over texts"),
        Column("p_value", pa.float64(), "", "of the hypothesis that the slope is 0, by the same bootstrap"),
        Column("q_value", pa.float64(), "", "p_value adjusted for all lines of the table (Benjamini-Hochberg)"),
        Column("intercept", pa.float64(), "", "the line at one parameter"),
        Column(
            "r_squared",
            pa.float64(),
            "",
            "share of the rate's variance that the line explains; NaN where the rates are equal",
            finite=False,
        ),
    ),
)

SLOPE_TESTS = Table(
    "slope_tests",
    (
        _ROWS,
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
        *_MODEL,
        _ROWS,
        Column(
            "models", pa.uint64(), "model", "smaller models of the family, whose line predicts this one, the largest"
        ),
        Column("observed", pa.float64(), "", "rate of the model"),
        Column("predicted", pa.float64(), "", "the line of the smaller models at this model's size"),
        Column("predicted_low", pa.float64(), "", "lower end of the prediction's bootstrap interval over texts"),
        Column("predicted_high", pa.float64(), "", "upper end of the prediction's bootstrap interval over texts"),
        Column("difference", pa.float64(), "", "observed - predicted"),
        Column("difference_low", pa.float64(), "", "lower end of the difference's bootstrap interval over texts"),
        Column("difference_high", pa.float64(), "", "upper end of the difference's bootstrap interval over texts"),
    ),
)

NOISE_RATES = Table(
    "noise_rates",
    (*_MODEL, NOISE_LAYER, Column("alpha", pa.float64(), "", "noise strength"), *_DOMAIN, *_RATE),
)


KINDS = Table(
    "kinds",
    (
        *_MODEL,
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength; 0 where undisturbed"),
        Column("n", pa.uint64(), "row", "natural rows scored"),
        Column("memorized", pa.uint64(), "row", "natural rows memorized"),
        *_with_interval("structural", "mean of the structural domains' rates"),
        *_with_interval("free_text", "mean of the free-text domains' rates"),
        *_with_interval("adjusted", "mean of the two: the rate of a corpus that is half structural, half free text"),
        *_with_interval(
            "structural_share",
            "share of memorized rows of such a corpus that are structural; NaN without any",
            finite=False,
        ),
        *_with_interval("difference", "structural - free_text"),
        Column("p_value", pa.float64(), "", "of the hypothesis that the difference is 0, by the same bootstrap"),
        Column("q_value", pa.float64(), "", "p_value adjusted for all lines of the table (Benjamini-Hochberg)"),
    ),
)

PROFILES = Table(
    "profiles",
    (
        *(column._replace(name=f"{column.name}_a") for column in _MODEL),
        *(column._replace(name=f"{column.name}_b") for column in _MODEL),
        Column("domains", pa.uint64(), "domain", "natural domains that both models have, by name; three or more"),
        Column("rows", pa.uint64(), "row", "the fewer of the two models' rows in these domains"),
        *_with_interval(
            "similarity",
            "Pearson correlation of the two models' rates by domain; NaN where a model has equal rates",
            finite=False,
        ),
    ),
)

COMPRESSIBILITY = Table(
    "compressibility",
    (
        *_MODEL,
        *_DOMAIN,
        Column("n", pa.uint64(), "row", "rows that the model recites whole"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows; rows of equal text have equal ratios"),
        *_with_interval("mean_ratio", "mean of the shortest sufficient suffix over the context, in tokens"),
        Column("median_ratio", pa.float64(), "", "median of the same ratio"),
        Column("short", pa.float64(), "", "share of rows that half of the context, or less, suffices for"),
        Column("short_low", pa.float64(), "", "lower end of the Wilson interval of short at effective_n rows"),
        Column("short_high", pa.float64(), "", "upper end of the Wilson interval of short at effective_n rows"),
        Column("effective_n", pa.float64(), "row", "independent rows that would carry as much information on short"),
        Column(
            "non_monotone",
            pa.float64(),
            "",
            "share of rows that some suffix does not suffice for though a shorter one does",
        ),
        Column("non_monotone_low", pa.float64(), "", "lower end of its Wilson interval at its own effective rows"),
        Column("non_monotone_high", pa.float64(), "", "upper end of its Wilson interval at its own effective rows"),
    ),
)

SUFFIX_LENGTHS = Table(
    "suffix_lengths",
    (
        *_MODEL,
        Column("length", pa.uint8(), "token", "length of the suffix"),
        Column("ratio", pa.float64(), "", "length over that of the context"),
        Column("n", pa.uint64(), "row", "natural rows that the model recites whole"),
        Column("shortest", pa.uint64(), "row", "rows whose shortest sufficient suffix has this length"),
        Column("shortest_share", pa.float64(), "", "shortest / n"),
        Column("sufficient", pa.uint64(), "row", "rows that the suffix of this length suffices for"),
        Column("sufficient_share", pa.float64(), "", "sufficient / n"),
    ),
)

_COUNTED = (
    *_MODEL,
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
        *_RATE,
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
        Column("threshold_low", pa.float64(), "occurrence", "lower end of its bootstrap interval over texts", False),
        Column("threshold_high", pa.float64(), "occurrence", "upper end of its bootstrap interval over texts", False),
        Column("reached", pa.float64(), "", "share of the resamples whose curve rises so far"),
        Column(
            "shift",
            pa.float64(),
            "octave",
            "log2 of the threshold over that by the study's first way of counting; NaN where neither is reached",
            finite=False,
        ),
        Column("shift_low", pa.float64(), "octave", "lower end of its paired bootstrap interval over texts", False),
        Column("shift_high", pa.float64(), "octave", "upper end of its paired bootstrap interval over texts", False),
    ),
)

COUNTINGS = Table(
    "countings",
    (
        Column("family", pa.string(), "", "model family, whose rows were counted"),
        Column("measure", pa.string(), "", "counts of sequence, context or continuation"),
        Column("counting", pa.string(), "", "the way of counting"),
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

CLAIMS = Table(
    "claims",
    (
        Column("claim", pa.string(), "", "name of the claim"),
        Column("text", pa.string(), "", "what the paper says"),
        Column("statistic", pa.string(), "", "what is held against the bound"),
        Column("value", pa.float64(), "", "the statistic; NaN where it is not measured", finite=False),
        Column("low", pa.float64(), "", "lower end of its interval", finite=False),
        Column("high", pa.float64(), "", "upper end of its interval", finite=False),
        Column("models", pa.uint64(), "model", "models that it is taken over"),
        Column("rule", pa.string(), "", "where the interval must lie"),
        Column("verdict", pa.string(), "", "supported, not supported, undecided or not measured"),
        Column("figure", pa.string(), "", "figure that shows it"),
    ),
)

TABLES = {
    table.name: table
    for table in (
        RATES,
        DISTRIBUTION,
        CONTROL_RATES,
        DISJOINT_SAMPLES,
        SCALING,
        SLOPE_TESTS,
        PREDICTIONS,
        NOISE_RATES,
        KINDS,
        PROFILES,
        COMPRESSIBILITY,
        SUFFIX_LENGTHS,
        FREQUENCY_RATES,
        THRESHOLDS,
        COUNTINGS,
        RECOVERY,
        RECOVERY_TESTS,
        LENS,
        LENS_POSITIONS,
        LENS_PROFILES,
        HEADS,
        OVERLAP,
        POWER,
        SCREENING,
        SIGNATURES,
        SIGNATURE_PAIRS,
        SIGNATURE_TESTS,
        FACTORIAL,
        CLAIMS,
    )
}
"""Every table that figures and the report may read, by name."""
