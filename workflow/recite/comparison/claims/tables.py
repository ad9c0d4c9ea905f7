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
        Column("low", pa.float64(), "", "lower end of its interval for these models: sampling error", finite=False),
        Column("high", pa.float64(), "", "upper end of that interval; infinite over a rate of 0", finite=False),
        Column(
            "families_low",
            pa.float64(),
            "",
            "lower end of its interval for models of such families, by t over families; NaN where that is not known",
            finite=False,
        ),
        Column("families_high", pa.float64(), "", "upper end of that interval", finite=False),
        Column("models", pa.uint64(), "model", "models that it is taken over"),
        Column("families", pa.uint64(), "family", "families of these models"),
        Column("p_value", pa.float64(), "", "of its permutation test; NaN where it has none", finite=False),
        Column("over", pa.string(), "", "which interval the verdict is by: families, or these models"),
        Column("rule", pa.string(), "", "where the interval must lie"),
        Column("verdict", pa.string(), "", "supported, not supported, undecided or not measured"),
        Column("figure", pa.string(), "", "figure that shows it"),
    ),
)
CLAIM_FAMILIES = Table(
    "claim_families",
    (
        Column("claim", pa.string(), "", "name of the claim"),
        Column("family", pa.string(), "", "model family"),
        Column("models", pa.string(), "", "its models that the value is of"),
        Column("value", pa.float64(), "", "the family's own value of the statistic", finite=False),
        Column("low", pa.float64(), "", "lower end of its interval for these models", finite=False),
        Column("high", pa.float64(), "", "upper end of that interval", finite=False),
    ),
)
