"""Claims on the recovery from noise."""

from recite.outcomes.findings import Finding, Statistics, Tables, largest, mean_of, strongest


def noise_removed(tables: Tables) -> Finding | None:
    table = strongest(tables["recovery"])
    return mean_of(largest(table[(table["group"] == "all") & (table["depth"] == 1)]), "recovered")


def memorized_recover_less(tables: Tables) -> Finding | None:
    return mean_of(largest(strongest(tables["recovery_tests"])), "difference")


STATISTICS: Statistics = {
    "noise_removed": (("recovery",), noise_removed),
    "memorized_recover_less": (("recovery_tests",), memorized_recover_less),
}
