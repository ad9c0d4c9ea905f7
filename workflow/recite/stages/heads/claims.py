"""The claim on heads."""

from recite.outcomes.findings import ALL_DOMAINS, Finding, Statistics, Tables, largest, mean_of


def heads_shared(tables: Tables) -> Finding | None:
    """By the paper's fifth of the heads; chance is known without error."""
    table = tables["overlap"]
    pairs = (table["comparison"] == "between") & (table["domain_a"] == ALL_DOMAINS)
    table = largest(table[pairs & (table["measure"] == "hits") & (table["share"] == 0.2)])
    above = {name: table[name] - table["chance"] for name in ("overlap", "overlap_low", "overlap_high")}
    return mean_of(table.assign(**above), "overlap")


STATISTICS: Statistics = {
    "heads_shared": (("overlap",), heads_shared),
}
