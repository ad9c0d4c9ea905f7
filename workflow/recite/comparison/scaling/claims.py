"""The claim on model size."""

from recite.outcomes.findings import Finding, Statistics, Tables, mean_of
from recite.outcomes.rows import NATURAL


def scaling(tables: Tables) -> Finding | None:
    table = tables["scaling"]
    lines = table[table["rows"] == NATURAL]
    pooled = lines[lines["family"] == "pooled"]
    found = mean_of(pooled if len(pooled) else lines, "slope")
    return found and found._replace(models=int(lines["models"].max()))


STATISTICS: Statistics = {
    "scaling": (("scaling",), scaling),
}
