"""What a head's effect must be for so many rows to show it: closed form from the variance over what was sampled.

With a normal test of the hypothesis that a mean drop is 0, at level a and power 1 - b, the smallest effect is
(z(1 - a/2) + z(1 - b)) SE (Cohen 1988), with SE the standard error of the mean over so many rows.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from recite.outcomes.means import FEWEST, Bags, bags_of
from recite.stages.heads.ablated import MEASURES, Group
from recite.stages.heads.summarize.importance import kinds_of, read_models
from recite.stages.heads.tables import POWER

POWER_OF_TEST, LEVEL = 0.8, 0.05
SIZES = (2_500, 10_000)
"""Rows of a domain in the paper: of its largest models, and of the others."""
QUANTILES = {"smallest": 0.0, "median": 0.5, "largest": 1.0}
"""Over a model's heads, whose drops vary more or less."""
Line = dict[str, Any]


def measure_power(options: Mapping[str, Any], ablated: Sequence[Path], drawn: Sequence[Path], power: Path) -> None:
    """Write the table power from parts of the table of ablated rows, of which `drawn` says the groups."""
    lines: list[Line] = []
    for who, group in read_models(ablated, drawn, options):
        lines += [who | line for line in power_lines(group, options)]
    metadata = {"options": dict(options), "power": POWER_OF_TEST, "level": LEVEL}
    POWER.write_lines(power, lines, metadata)


def power_lines(group: Group, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of one model and group: by domain, measure and number of rows, this study's first.

    The variance is that over the first round's rows, which were run without every head.
    """
    read = group.first_round().rows
    for kind, domain, rows in kinds_of(read):
        bags = bags_of(read.frame, rows, options)
        if bags.distinct < FEWEST:
            continue
        drawn = sum(group.drawn[name] for name, _ in read.frame.domains_of(rows))
        for measure, values in zip(MEASURES, (read.hits, read.log_probability), strict=True):
            means, errors = means_and_errors(bags, values)
            means, errors = np.abs(means) / read.steps, errors / read.steps
            for place, size in enumerate((drawn, *SIZES)):
                smallest = smallest_effects(errors * math.sqrt(len(rows) / size))
                about = {"rows": kind, "domain": domain, "measure": measure, "n": size, "own": place == 0}
                about |= {"measured_n": len(rows), "measured_distinct": bags.distinct, "heads": len(smallest)}
                ends = {name: float(np.quantile(smallest, at)) for name, at in QUANTILES.items()}
                yield about | ends | {"visible": float((means >= smallest).mean())}


def means_and_errors(bags: Bags, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of columns and their standard errors, where what was sampled is one observation, each (columns,).

    `values` (rows of the model, columns). The mean is a ratio over clusters of unequal size (Cochran 1977, chapter 6),
    with the factor c / (c - 1) for c clusters.
    """
    sums, count, rows = bags.sums(values), len(bags.sizes), bags.sizes.sum()
    means = sums.sum(axis=0) / rows
    residuals = sums - bags.sizes[:, None] * means
    return means, np.sqrt(count / (count - 1) * (residuals**2).sum(axis=0)) / rows


def smallest_effects(errors: np.ndarray) -> np.ndarray:
    """The effect that a test with these standard errors sees with probability POWER_OF_TEST, at LEVEL, two-sided."""
    return (stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER_OF_TEST)) * errors
