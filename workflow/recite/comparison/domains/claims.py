"""Claims on domains."""

from recite.outcomes.findings import Finding, Statistics, Tables, between_families, largest, mean_of


def domain_pattern(tables: Tables) -> Finding | None:
    return between_families(tables["profiles"])


def structural_dominance(tables: Tables) -> Finding | None:
    table = tables["kinds"]
    return mean_of(largest(table[table["alpha"] == 0]), "structural_share")


STATISTICS: Statistics = {
    "domain_pattern": (("profiles",), domain_pattern),
    "structural_dominance": (("kinds",), structural_dominance),
}
