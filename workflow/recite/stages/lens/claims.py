"""The claim on decoding."""

from recite.outcomes.findings import Finding, Statistics, Tables, between_families


def shared_decoding(tables: Tables) -> Finding | None:
    return between_families(tables["lens_profiles"])


STATISTICS: Statistics = {
    "shared_decoding": (("lens_profiles",), shared_decoding),
}
