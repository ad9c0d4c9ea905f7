"""Which memorized rows figure and summary show of each model."""

import pandas as pd

from recite.outcomes.frame import NATURAL


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of natural rows, and of planted ones where a model has none of natural ones."""
    natural = set(table.loc[table["rows"] == NATURAL, "model"])
    return table[(table["rows"] == NATURAL) | ~table["model"].isin(natural)]
