"""Claims on the scores themselves."""

from recite.outcomes.findings import Finding, Statistics, Tables, largest, mean_of, natural_rates


def family_divergence(tables: Tables) -> Finding | None:
    """Interval by the worst case: the higher rate's lower end over the lower rate's upper end, and the reverse."""
    table = largest(natural_rates(tables)).sort_values("rate")
    if len(table) < 2 or not table["rate"].iloc[0]:
        return None
    lowest, highest = table.iloc[0], table.iloc[-1]
    return Finding(
        highest["rate"] / lowest["rate"],
        highest["rate_low"] / lowest["rate_high"],
        highest["rate_high"] / lowest["rate_low"],
        len(table),
    )


def bipolar_scores(tables: Tables) -> Finding | None:
    return mean_of(largest(natural_rates(tables)), "between")


STATISTICS: Statistics = {
    "family_divergence": (("rates",), family_divergence),
    "bipolar_scores": (("rates",), bipolar_scores),
}
