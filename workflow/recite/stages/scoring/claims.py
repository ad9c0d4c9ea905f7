"""Claims on the scores themselves.

The paper: families of similar size memorize up to 100 times more or less than each other, and scores are bipolar, 0 or
1 with little between.
"""

import math
from collections.abc import Sequence

import numpy as np

from recite.outcomes.draws import Draw
from recite.outcomes.findings import Finding, Measured, Part, Statistics, by_family, mean_of_largest
from recite.outcomes.frame import NATURAL
from recite.statistics.intervals import interval

FACTOR = 2
"""Models this far apart in size, or less, are of one size."""


def family_divergence(measured: Measured) -> Finding | None:
    """Highest over lowest rate among models of one size, the two resampled together; for these models only.

    A rate of 0 stands at its bound, the upper end of its interval or one row, whichever is more; there is no upper end
    then.
    """
    chosen = of_one_size(measured.draws.get("natural_rate", ()))
    if len(chosen) < 2 or not any(draw.values[0, 0] for draw in chosen):
        return None
    rates = measured.tables["rates"]
    rates = rates[rates["domain"] == NATURAL].set_index("model")
    ordered = sorted(chosen, key=lambda draw: (draw.values[0, 0], draw.model))
    lowest, highest = (ordered[place].values[:, 0] for place in (0, -1))
    least = 1 / float(rates.loc[ordered[0].model, "n"])
    if lowest[0]:
        drawn = np.log(np.maximum(highest, least / 2) / np.maximum(lowest, least / 2))
        low, high = (math.exp(end) for end in interval(drawn[1:], measured.confidence))
        value = highest[0] / lowest[0]
    else:
        bound = max(least, float(rates.loc[ordered[0].model, "rate_high"]))
        value, low, high = highest[0] / bound, float(rates.loc[ordered[-1].model, "rate_low"]) / bound, math.inf
    parts = []
    for draw in chosen:
        line = rates.loc[draw.model]
        parts.append(Part(draw.family, draw.model, *(float(line[name]) for name in ("rate", "rate_low", "rate_high"))))
    return Finding(float(value), low, high, math.nan, math.nan, len(chosen), len(chosen), parts=tuple(parts))


def of_one_size(draws: Sequence[Draw]) -> list[Draw]:
    """A model of each of as many families as have one within FACTOR of the others; the largest such size of several."""
    best: list[Draw] = []
    for least in sorted({draw.parameters for draw in draws}):
        window = [draw for draw in draws if least <= draw.parameters <= FACTOR * least]
        middle = math.log(least) + math.log(FACTOR) / 2
        chosen = [
            min(group, key=lambda draw: (abs(math.log(draw.parameters) - middle), draw.model))
            for group in by_family(window).values()
        ]
        best = chosen if len(chosen) >= len(best) else best
    return best


def bipolar_scores(measured: Measured) -> Finding | None:
    return mean_of_largest(measured, "bipolarity")


STATISTICS: Statistics = {
    "family_divergence": family_divergence,
    "bipolar_scores": bipolar_scores,
}
