"""The claim on compressibility.

The paper: half of the context is often enough to recite the whole.
"""

from recite.outcomes.findings import Finding, Measured, Statistics, mean_of_largest


def compressibility(measured: Measured) -> Finding | None:
    return mean_of_largest(measured, "short")


STATISTICS: Statistics = {
    "compressibility": compressibility,
}
