"""The tables behind the figures of the internal level: recovery from noise, layer decoding, attention heads."""

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
            "recovered",
            "(cosine - cosine of the disturbed layer) / (1 - cosine of the disturbed layer), of the means; NaN where "
            "that is 1",
            finite=False,
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
        *with_interval(
            "difference", "share recovered at the last layer, memorized rows - unmemorized rows", finite=False
        ),
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
            "natural rows of the two models; NaN where one is flat",
            finite=False,
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
        Column("heads", pa.uint32(), "head", "heads of the model; a screening leaves some without a line"),
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
            "rank of the head among those ablated of the model, from 1, by hits_drop, of equal ones by "
            "log_probability_drop",
        ),
    ),
)

_MEASURE = Column(
    "measure", pa.string(), "", "importance by hits, ties by log-probability; or by log_probability alone"
)

SCREENING = Table(
    "screening",
    (
        *MODEL,
        ROWS,
        Column("domain", pa.string(), "", "domain of the rows, or all: every domain of that kind of rows"),
        _MEASURE,
        Column("n", pa.uint64(), "row", "rows that were continued without each head"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
        Column("heads", pa.uint32(), "head", "heads of the model, all of which were ablated"),
        Column("k", pa.uint32(), "head", "heads that matter most, a fifth"),
        Column("share", pa.float64(), "", "share of the heads that the estimate puts forward"),
        *with_interval("recall", "share of the k heads that is among those"),
        Column("chance", pa.float64(), "", "recall of as many heads taken at random"),
        Column(
            "rank_correlation",
            pa.float64(),
            "",
            "Spearman correlation of estimate and measured importance; NaN where a model has one head",
            finite=False,
        ),
        Column("ablated", pa.uint32(), "head", "heads that are put forward by any domain or by all natural rows"),
        Column(
            "cost", pa.float64(), "", "of estimating, then ablating those, over ablating all: passes of rows by layers"
        ),
    ),
)

OVERLAP = Table(
    "overlap",
    (
        *MODEL,
        _MEASURE,
        Column(
            "comparison",
            pa.string(),
            "",
            "of the sets of most important heads: between domains, within a domain (halves of its texts), or universal "
            "(heads that are in the sets of all domains)",
        ),
        Column("domain_a", pa.string(), "", "domain, or all: the mean over domains or pairs of them"),
        Column("domain_b", pa.string(), "", "the other domain; the same within a domain"),
        Column("share", pa.float64(), "", "share of the model's heads that is taken for the most important"),
        Column("k", pa.uint32(), "head", "how many heads that is"),
        Column("heads", pa.uint32(), "head", "heads of the model"),
        Column("domains", pa.uint32(), "domain", "natural domains that the line is about"),
        Column("n", pa.uint64(), "row", "rows of the domain that has fewest"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows, of the domain that has fewest"),
        *with_interval("overlap", "Jaccard index of the sets; of universal heads, their share of all heads"),
        Column("chance", pa.float64(), "", "what random sets of k heads have on average"),
        Column("chance_low", pa.float64(), "", "lower end of the interval that random sets lie in"),
        Column("chance_high", pa.float64(), "", "upper end of the interval that random sets lie in"),
    ),
)

_SEEN = "effect that a two-sided test at level 0.05 sees with a probability of 80%, in M or in nats per token"

POWER = Table(
    "power",
    (
        *MODEL,
        ROWS,
        Column("domain", pa.string(), "", "domain of the rows, or all: every domain of that kind of rows"),
        Column(
            "measure", pa.string(), "", "drop in hits, as a share of the continuation's tokens, or in log_probability"
        ),
        Column("n", pa.uint64(), "row", "number of rows that is asked about"),
        Column("own", pa.bool_(), "", "whether that is the number of rows ablated here"),
        Column("measured_n", pa.uint64(), "row", "rows from which the variance is"),
        Column("measured_distinct", pa.uint64(), "text", "distinct texts among them"),
        Column("heads", pa.uint32(), "head", "heads of the model that were ablated"),
        Column("smallest", pa.float64(), "", f"{_SEEN}; of the head that varies least"),
        Column("median", pa.float64(), "", "the same, median over the heads"),
        Column("largest", pa.float64(), "", "the same, of the head that varies most"),
        Column("visible", pa.float64(), "", "share of the heads whose measured effect is as large as that"),
    ),
)
