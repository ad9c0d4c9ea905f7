"""The importance of heads: effects, overlap, power."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import GROUP, MODEL, ROWS, with_interval


def _tested(name: str) -> tuple[Column, ...]:
    """Whether a head's drop is 0."""
    return (
        Column(f"{name}_p_value", pa.float64(), "", f"two-sided, of the hypothesis that {name} is 0, by its resamples"),
        Column(
            f"{name}_q_value",
            pa.float64(),
            "",
            f"{name}_p_value adjusted for all heads of that model and of those rows (Benjamini-Hochberg)",
        ),
    )


HEADS = Table(
    "heads",
    (
        *MODEL,
        GROUP,
        ROWS,
        Column("domain", pa.string(), "", "domain of the rows, or all: every domain of that kind of rows"),
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
        Column("head", pa.uint16(), "head", "attention head of the layer, from 0"),
        Column("depth", pa.float64(), "", "(layer + 1) / layers of the model"),
        Column("heads", pa.uint32(), "head", "heads of the model"),
        Column(
            "n",
            pa.uint64(),
            "row",
            "rows that were run without the head: fewer where its place was known before all were",
        ),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
        *with_interval("hits_drop", "mean drop of the memorization score M without the head"),
        *_tested("hits_drop"),
        *with_interval(
            "log_probability_drop",
            "mean drop without the head of the true continuation's log-probability per token",
            "nat",
        ),
        *_tested("log_probability_drop"),
        *with_interval(
            "probability_drop",
            "mean drop without the head of the probability that one draw from the model, each token as it says, is the "
            "true continuation: of p_z",
        ),
        *_tested("probability_drop"),
        Column(
            "rank",
            pa.uint32(),
            "",
            "rank of the head among those of the model, from 1, by hits_drop, of equal ones by log_probability_drop",
        ),
    ),
)
_MEASURE = Column(
    "measure", pa.string(), "", "importance by hits, ties by log-probability; or by log_probability alone"
)
OVERLAP = Table(
    "overlap",
    (
        *MODEL,
        GROUP,
        _MEASURE,
        Column(
            "comparison",
            pa.string(),
            "",
            "of the sets of most important heads: within a domain (halves of its texts), between domains (a half of "
            "either's texts), or universal (heads that are in the sets of all domains, by all of their texts)",
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
        GROUP,
        ROWS,
        Column("domain", pa.string(), "", "domain of the rows, or all: every domain of that kind of rows"),
        Column(
            "measure", pa.string(), "", "drop in hits, as a share of the continuation's tokens, or in log_probability"
        ),
        Column("n", pa.uint64(), "row", "number of rows that is asked about"),
        Column("own", pa.bool_(), "", "whether that is the number of rows drawn here"),
        Column(
            "measured_n", pa.uint64(), "row", "rows from which the variance is: those that were run without every head"
        ),
        Column("measured_distinct", pa.uint64(), "text", "distinct texts among them"),
        Column("heads", pa.uint32(), "head", "heads of the model"),
        Column("smallest", pa.float64(), "", f"{_SEEN}; of the head that varies least"),
        Column("median", pa.float64(), "", "the same, median over the heads"),
        Column("largest", pa.float64(), "", "the same, of the head that varies most"),
        Column("visible", pa.float64(), "", "share of the heads whose measured effect is as large as that"),
    ),
)
