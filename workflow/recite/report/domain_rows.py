"""Domains one under another, each as high as there are families that have it."""

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from recite.report import style

ROOM, LEAST = 0.75, 0.24
"""Inches of a domain that all families have, and of one that a single family has."""


class DomainRows(NamedTuple):
    """heights, places: inches of each domain, and of its middle from the top; points: those of a table's lines."""

    labels: list[str]
    heights: pd.Series
    places: pd.Series
    points: pd.Series

    @property
    def inches(self) -> float:
        return float(self.heights.sum())

    def name(self, axes: Axes) -> None:
        """Write the domains' names at an axis that runs from above, with a line between them."""
        axes.set_yticks(self.places, self.labels)
        axes.set_ylim(self.inches, 0)
        axes.grid(axis="y", visible=False)
        for edge in self.heights.cumsum()[:-1]:
            axes.axhline(edge, color="0.9", linewidth=0.6, zorder=0)


def domain_rows(table: pd.DataFrame, domains: pd.DataFrame) -> DomainRows:
    """Where the lines of a table (family, domain) stand, under the `domains` (domain, kind) in their order."""
    families = style.families(table)
    step = ROOM / (len(families) + 1)
    names = list(domains["domain"])
    having = {domain: sorted(set(part), key=families.index) for domain, part in table.groupby("domain")["family"]}
    heights = pd.Series({domain: max(LEAST, step * (len(having[domain]) + 1)) for domain in names})
    places = heights.cumsum() - heights / 2
    found = [
        places[domain] + step * (having[domain].index(family) - (len(having[domain]) - 1) / 2)
        for domain, family in zip(table["domain"], table["family"], strict=True)
    ]
    labels = [
        f"{style.name(domain)}{' ' if heights[domain] < 2 * LEAST else chr(10)}({style.name(kind)})"
        for domain, kind in zip(names, domains["kind"], strict=True)
    ]
    return DomainRows(labels, heights, places, pd.Series(found, index=table.index))
