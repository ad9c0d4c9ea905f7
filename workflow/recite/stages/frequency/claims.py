"""The claim on corpus frequency."""

import math

from recite.outcomes.findings import (
    Finding,
    Statistics,
    Tables,
    largest,
    mean_of,
)
from recite.outcomes.frame import NATURAL


def frequency(tables: Tables) -> Finding | None:
    """Thresholds by the study's first way of counting, of the models whose rate rises so far in all of the interval."""
    table = tables["thresholds"]
    first = table["counting"].iloc[:1].to_list()
    kept = table[(table["rows"] == NATURAL) & (table["measure"] == "sequence") & table["counting"].isin(first)]
    kept = largest(kept)
    return mean_of(kept[kept["threshold_high"] < math.inf], "threshold")


STATISTICS: Statistics = {
    "frequency": (("thresholds",), frequency),
}
