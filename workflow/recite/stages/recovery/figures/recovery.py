"""What each layer leaves of the noise: the size of the difference over that of the noise, by class of rows."""

import pandas as pd
from matplotlib.figure import Figure

from recite.stages.recovery.panels import draw_panels


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Above 1 the noise is amplified, below it some of it is removed."""
    return draw_panels(tables, "growth", "growth", "size of the difference over the noise", 1, {})
