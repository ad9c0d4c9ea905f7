"""How alike the disturbed and the undisturbed stream are, beside what carrying the noise along would give."""

import pandas as pd
from matplotlib.figure import Figure

from recite.stages.recovery.panels import draw_panels


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """The cosine, and dotted its baseline under the strongest noise."""
    beside = {"baseline": "noise carried along"}
    return draw_panels(tables, "cosine", "beyond", "cosine with the undisturbed stream", 1, beside)
