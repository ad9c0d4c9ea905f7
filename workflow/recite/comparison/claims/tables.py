"""The claims ledger."""

import pyarrow as pa

from recite.tables import Column, Table

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
