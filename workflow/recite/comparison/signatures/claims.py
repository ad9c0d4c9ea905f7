"""Claims on families.

The paper: models of one family spread the heads that matter over their layers alike (about 0.9 within Pythia), those of
other families much less so.
"""

import math
from collections.abc import Callable

import pandas as pd

from recite.outcomes.findings import Finding, Measured, Part, Statistics


def of_measure(measure: str) -> Callable[[Measured], Finding | None]:
    """The statistic by profiles of one measure."""

    def statistic(measured: Measured) -> Finding | None:
        """Similarity within families less that between, model size regressed out, with the permutation's p."""
        if "signature_tests" not in measured.tables:
            return None
        table = measured.tables["signature_tests"]
        lines = list(table[table["measure"] == measure].itertuples())
        if not lines:
            return None
        line, pairs = lines[0], measured.tables["signature_pairs"]
        return Finding(
            line.difference,
            math.nan,
            math.nan,
            line.difference_low,
            line.difference_high,
            line.models,
            line.families,
            line.p_value,
            each_family(pairs[(pairs["measure"] == measure) & pairs["similarity"].notna()]),
        )

    return statistic


def each_family(pairs: pd.DataFrame) -> tuple[Part, ...]:
    """Each family's mean similarity within, less that to models of others."""
    within = pairs[pairs["family_a"] == pairs["family_b"]]
    found = []
    for family, own in within.groupby("family_a"):
        others = pairs[(pairs["family_a"] == family) != (pairs["family_b"] == family)]
        names = ", ".join(sorted({*own["model_a"], *own["model_b"]}))
        difference = float(own["similarity"].mean() - others["similarity"].mean())
        found.append(Part(str(family), names, difference, math.nan, math.nan))
    return tuple(found)


STATISTICS: Statistics = {
    "family_signature": of_measure("ablation_memorized"),
    "signature_recovery": of_measure("recovery"),
    "signature_lens": of_measure("lens"),
}
