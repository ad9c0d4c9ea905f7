"""What rows lose by each attention and MLP, and which of the two carries recall, where."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import COUNTED, GROUP, LAYER, MODEL, ROWS, with_interval

_DOMAIN = Column("domain", pa.string(), "", "domain of the rows, or all: every domain of that kind of rows")


def _tested(name: str) -> tuple[Column, ...]:
    """Whether a drop is 0."""
    return (
        Column(f"{name}_p_value", pa.float64(), "", f"two-sided, of the hypothesis that {name} is 0, by its resamples"),
        Column(
            f"{name}_q_value",
            pa.float64(),
            "",
            f"{name}_p_value adjusted for all sublayers of that model and of those rows (Benjamini-Hochberg)",
        ),
    )


SUBLAYERS = Table(
    "sublayers",
    (
        *MODEL,
        GROUP,
        ROWS,
        _DOMAIN,
        *LAYER,
        Column("sublayer", pa.string(), "", "attention or mlp: which output of the layer is replaced"),
        *COUNTED,
        *with_interval("hits_drop", "mean drop of the memorization score M without the sublayer"),
        *_tested("hits_drop"),
        *with_interval(
            "log_probability_drop",
            "mean drop without the sublayer of the true continuation's log-probability per token",
            "nat",
        ),
        *_tested("log_probability_drop"),
    ),
)
CARRIED = Table(
    "carried",
    (
        *MODEL,
        GROUP,
        ROWS,
        _DOMAIN,
        *COUNTED,
        Column(
            "measure", pa.string(), "", "drop in hits, as a share of the continuation's tokens, or in log_probability"
        ),
        *with_interval(
            "attention_sum", "sum over layers of the mean drop without the attention, in M or nats per token"
        ),
        *with_interval("mlp_sum", "the same without the MLP"),
        *with_interval(
            "mlp_share", "mlp_sum / (attention_sum + mlp_sum); NaN where nothing is lost in sum", finite=False
        ),
        *with_interval(
            "attention_depth",
            "mean depth of the attentions, each by its mean drop, negative ones as 0; NaN where none is positive",
            finite=False,
        ),
        *with_interval("mlp_depth", "the same of the MLPs", finite=False),
    ),
)
