"""The claim on families."""

from recite.outcomes.findings import Finding, Statistics, Tables, mean_of


def family_signature(tables: Tables) -> Finding | None:
    """Accuracy of naming the family by the nearest other model, with its Wilson interval, beyond chance."""
    table = tables["signature_tests"]
    beyond = {name: table[name] - table["chance"] for name in ("accuracy", "accuracy_low", "accuracy_high")}
    found = mean_of(table.assign(**beyond), "accuracy")
    return found and found._replace(models=int(table["models"].max()))


STATISTICS: Statistics = {
    "family_signature": (("signature_tests",), family_signature),
}
