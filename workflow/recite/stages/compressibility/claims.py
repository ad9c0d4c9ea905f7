"""The claim on compressibility."""

from recite.outcomes.findings import Finding, Statistics, Tables, largest, mean_of
from recite.outcomes.rows import NATURAL


def compressibility(tables: Tables) -> Finding | None:
    table = tables["compressibility"]
    return mean_of(largest(table[table["domain"] == NATURAL]), "short")


STATISTICS: Statistics = {
    "compressibility": (("compressibility",), compressibility),
}
