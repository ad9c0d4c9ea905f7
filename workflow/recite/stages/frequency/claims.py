"""The claim on corpus frequency.

The paper: memorization sets in beyond a threshold of corpus frequency. Smooth growth has none.
"""

from recite.outcomes.findings import Finding, Measured, Statistics, mean_of_largest


def frequency(measured: Measured) -> Finding | None:
    return mean_of_largest(measured, "kink")


STATISTICS: Statistics = {
    "frequency": frequency,
}
