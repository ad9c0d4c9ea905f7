"""What is recited by models that saw a text, and by their siblings that did not."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import DOMAIN, MODEL, with_interval


def _rate(name: str, meaning: str) -> tuple[Column, ...]:
    return (
        Column(name, pa.float64(), "", meaning),
        Column(f"{name}_low", pa.float64(), "", f"lower end of the Wilson interval of {name} at its effective rows"),
        Column(f"{name}_high", pa.float64(), "", f"upper end of the Wilson interval of {name} at its effective rows"),
    )


COUNTERFACTUAL = Table(
    "counterfactual",
    (
        *MODEL,
        *DOMAIN,
        Column("copies", pa.uint32(), "document", "planted copies of the text; 0 of natural domains"),
        Column("seeds", pa.uint32(), "", "pairs of siblings; every mean is over these too"),
        Column("n", pa.uint64(), "row", "rows"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
        *with_interval("mean_in", "mean score M under siblings whose half of the training holds the text"),
        *with_interval("mean_out", "the same under siblings whose half does not"),
        *with_interval("difference", "counterfactual memorization: mean_in - mean_out"),
        Column("spread", pa.float64(), "", "largest less smallest difference of one seed"),
        *_rate("rate_in", "share of rows that the siblings recite whose half holds the text"),
        *_rate("rate_out", "share of rows that the other siblings recite"),
    ),
)
