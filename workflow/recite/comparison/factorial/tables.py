"""How much of the variance of profiles over layers architecture and recipe explain."""

import pyarrow as pa

from recite.comparison.signatures.tables import MEASURE
from recite.tables import Column, Table

FACTORIAL = Table(
    "factorial",
    (
        MEASURE,
        Column(
            "profile",
            pa.string(),
            "",
            "raw: as measured; shape: about their means over depth, of equal size, as correlations compare them",
        ),
        Column("factor", pa.string(), "", "architecture, recipe, both (their interaction) or seed (what is left)"),
        Column("models", pa.uint64(), "model", "models: architectures x recipes x seeds"),
        Column("degrees", pa.uint64(), "", "degrees of freedom"),
        Column("sum_of_squares", pa.float64(), "", "over all depths; the four add up to that about the mean"),
        Column(
            "share",
            pa.float64(),
            "",
            "omega^2: share of the profiles' variance beyond what chance gives; NaN where they do not vary",
            finite=False,
        ),
        Column("share_low", pa.float64(), "", "lower end of its bootstrap interval over seeds", finite=False),
        Column("share_high", pa.float64(), "", "upper end of its bootstrap interval over seeds", finite=False),
        Column(
            "p_value",
            pa.float64(),
            "",
            "of the hypothesis that the factor does not matter, by permutation; NaN for both and seed",
            finite=False,
        ),
    ),
)
