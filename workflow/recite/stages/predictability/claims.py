"""The claim on predictability.

Not the paper's, whose rates count what is recited: what could be written without having been seen (2602.18733) is the
smaller part of it.
"""

from recite.outcomes.findings import Finding, Measured, Statistics, mean_of_largest


def not_predictable(measured: Measured) -> Finding | None:
    return mean_of_largest(measured, "not_predictable")


STATISTICS: Statistics = {
    "not_predictable": not_predictable,
}
