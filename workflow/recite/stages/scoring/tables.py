"""Rates, distributions and what planted rows show, from the scores."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import DOMAIN, MODEL, RATE

FALSE_RATE = (
    Column("false_rate", pa.float64(), "", "rate of rows held out or planted with 0 copies; NaN without any", False),
    Column("false_rate_low", pa.float64(), "", "lower end of its Wilson interval", False),
    Column("false_rate_high", pa.float64(), "", "upper end of its Wilson interval", False),
)
RATES = Table(
    "rates",
    (
        *MODEL,
        *DOMAIN,
        *RATE,
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
        Column("memorized_at_risk", pa.float64(), "", "the same of the memorized rows; NaN without any", finite=False),
        *FALSE_RATE,
    ),
)
DISTRIBUTION = Table(
    "distribution",
    (
        *MODEL,
        Column("hits", pa.uint8(), "token", "number of hits"),
        Column("n", pa.uint64(), "row", "natural rows with that number of hits"),
        Column("share", pa.float64(), "", "n over the model's natural rows"),
    ),
)
CONTROL_RATES = Table(
    "control_rates",
    (*MODEL, Column("repetitions", pa.uint32(), "document", "planted copies in the training data"), *RATE),
)
DISJOINT_SAMPLES = Table(
    "disjoint_samples",
    (
        *MODEL,
        Column(
            "domain",
            pa.string(),
            "",
            "domain whose sample is cut into its first rows and as many further ones, as drawn",
        ),
        Column("kind", pa.string(), "", "structural, free_text, planted or held_out"),
        Column("first_n", pa.uint64(), "row", "rows of the first sample"),
        Column("first_rate", pa.float64(), "", "memorization rate of the first sample"),
        Column("second_n", pa.uint64(), "row", "rows of the second sample"),
        Column("second_rate", pa.float64(), "", "memorization rate of the second sample"),
        Column("p_value", pa.float64(), "", "of the hypothesis that both are drawn alike: Fisher's exact test"),
        Column("q_value", pa.float64(), "", "p_value adjusted for all lines of the table (Benjamini-Hochberg)"),
    ),
)
