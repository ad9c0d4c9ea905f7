"""Claims on the recovery from noise.

The paper: "noise in the residual stream is partially removed by later layers", and memorized rows recover less. It
takes the cosine for that, which rises where the stream grows though nothing is removed; removed is what makes the
difference smaller.
"""

from recite.outcomes.findings import Finding, Measured, Statistics, mean_of_largest


def noise_removed(measured: Measured) -> Finding | None:
    """Size of the difference at the last layer over that of the noise, all natural rows."""
    return mean_of_largest(measured, "growth")


def memorized_recover_less(measured: Measured) -> Finding | None:
    return mean_of_largest(measured, "growth_difference")


def memorized_regain_less(measured: Measured) -> Finding | None:
    return mean_of_largest(measured, "beyond_difference")


STATISTICS: Statistics = {
    "noise_removed": noise_removed,
    "memorized_recover_less": memorized_recover_less,
    "memorized_regain_less": memorized_regain_less,
}
