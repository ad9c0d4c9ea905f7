"""Which rows, by their score, a figure shows."""

import pandas as pd

CONTRASTED = ("memorized", "unmemorized")
PREFERRED = ("memorized", "all", "half", "unmemorized")


def telling(table: pd.DataFrame) -> pd.DataFrame:
    """The lines by what a group's heads can be told apart by: hits, or log-probability where rows have none to lose."""
    by = table["group"].map(lambda group: "log_probability" if group == "unmemorized" else "hits")
    return table[table["measure"] == by]


def contrasted(table: pd.DataFrame) -> list[str]:
    """Memorized and unmemorized rows, as far as there are any; otherwise the group that says most."""
    there = set(table["group"])
    return [group for group in CONTRASTED if group in there] or [group for group in PREFERRED if group in there][:1]


def preferred(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of the group that says most: what is recited can be lost."""
    there = set(table["group"])
    return table[table["group"].isin([group for group in PREFERRED if group in there][:1])]
