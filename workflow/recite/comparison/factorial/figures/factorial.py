"""How much of the variance of profiles over layers the architecture explains, and how much the recipe."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from recite.comparison.signatures.measures import MEASURES
from recite.report import style

PROFILES = {"raw": "#0173b2", "shape": "#de8f05"}
WORDS = {"architecture": "architecture", "recipe": "recipe", "both": "the two together", "seed": "seed"}


def draw(tables: dict[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """A panel per measure, a point per factor with its interval."""
    table = tables["factorial"]
    measures = [measure for measure in MEASURES if measure in set(table["measure"])]
    if not measures:
        return style.blank("No models have profiles over layers."), table
    figure, panels = plt.subplots(
        1, len(measures), figsize=(2.3 * len(measures) + 1.2, 2.6), squeeze=False, sharex=True, sharey=True
    )
    for axes, measure in zip(panels[0], measures, strict=True):
        for place, (profile, colour) in enumerate(PROFILES.items()):
            own = table[(table["measure"] == measure) & (table["profile"] == profile)]
            part = own.set_index("factor").loc[list(WORDS)]
            errors = np.clip([part["share"] - part["share_low"], part["share_high"] - part["share"]], 0, None)
            places = np.arange(len(part)) + 0.2 * (2 * place - 1)
            axes.errorbar(
                part["share"], places, xerr=errors, fmt="o", color=colour, markersize=5, capsize=3, label=profile
            )
        axes.set_yticks(np.arange(len(WORDS)), list(WORDS.values()))
        axes.axvline(0, color="0.5", linewidth=0.8)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_title(f"{style.wrapped(MEASURES[measure], 24)}\nn = {part['models'].iloc[0]} models", fontsize=8)
        axes.set_xlabel("share of variance")
    panels[0, 0].invert_yaxis()
    panels[0, 0].legend(fontsize=7)
    return figure, table
