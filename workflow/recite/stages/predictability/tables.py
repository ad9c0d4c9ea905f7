"""Rates corrected for what is predictable, gains over unrelated contexts, and kinds of memorized rows."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import COUNTED, DOMAIN, GROUP, MODEL, with_interval

PREDICTABILITY = Table(
    "predictability",
    (
        *MODEL,
        *DOMAIN,
        *COUNTED,
        Column("memorized", pa.uint64(), "row", "rows memorized"),
        Column("drawn", pa.uint64(), "row", "memorized rows that were drawn"),
        Column("rate", pa.float64(), "", "memorized / n"),
        Column("rate_low", pa.float64(), "", "lower end of the rate's Wilson interval at its effective rows"),
        Column("rate_high", pa.float64(), "", "upper end of the rate's Wilson interval at its effective rows"),
        *with_interval(
            "explained",
            "mean over memorized rows of the share of unrelated contexts after which they are recited; NaN of no row",
            finite=False,
        ),
        Column("corrected", pa.float64(), "", "rate without what unrelated contexts explain: rate x (1 - explained)"),
        Column("corrected_low", pa.float64(), "", "lower end of its Wilson interval at its effective rows"),
        Column("corrected_high", pa.float64(), "", "upper end of its Wilson interval at its effective rows"),
    ),
)
PRIOR_GAINS = Table(
    "prior_gains",
    (
        *MODEL,
        Column("rows", pa.string(), "", "natural, planted, or unseen: rows that the model was not trained on"),
        GROUP,
        *COUNTED,
        Column("drawn", pa.uint64(), "row", "rows that were drawn"),
        *with_interval("own", "log-probability of the continuation after its own context, a token", "nat", False),
        *with_interval("prior", "the same after unrelated contexts of its domain", "nat", False),
        *with_interval("gain", "own - prior", "nat", False),
        *with_interval("recited", "share of unrelated contexts after which the continuation is recited", finite=False),
    ),
)
TAXONOMY = Table(
    "taxonomy",
    (
        *MODEL,
        Column("rows", pa.string(), "", "natural or planted: which memorized rows"),
        Column("class", pa.string(), "", "recite, reconstruct or recollect"),
        *COUNTED,
        Column("of_class", pa.uint64(), "row", "those of the class"),
        *with_interval("share", "share of the memorized rows, each domain's drawn ones standing for all", finite=False),
    ),
)
