"""Claims on the recovery from noise.

The paper: "noise in the residual stream is partially removed by later layers", and memorized rows recover less. It
takes the cosine for that, which rises where the stream grows though nothing is removed; removed is what makes the
difference smaller.
"""

import pandas as pd

from recite.outcomes.findings import Finding, Statistics, Tables, largest, mean_of, strongest


def noise_removed(tables: Tables) -> Finding | None:
    """Size of the difference at the last layer over that of the noise, all natural rows."""
    table = strongest(tables["recovery"])
    return mean_of(largest(table[(table["group"] == "all") & (table["depth"] == 1)]), "growth")


def memorized_recover_less(tables: Tables) -> Finding | None:
    return mean_of(_compared(tables, "growth"), "difference")


def memorized_regain_less(tables: Tables) -> Finding | None:
    return mean_of(_compared(tables, "beyond"), "difference")


def _compared(tables: Tables, measure: str) -> pd.DataFrame:
    """Memorized against unmemorized rows of each family's largest model by one measure."""
    table = largest(strongest(tables["recovery_tests"]))
    return table[table["measure"] == measure]


STATISTICS: Statistics = {
    "noise_removed": (("recovery",), noise_removed),
    "memorized_recover_less": (("recovery_tests",), memorized_recover_less),
    "memorized_regain_less": (("recovery_tests",), memorized_regain_less),
}
