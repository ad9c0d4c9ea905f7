"""Resampled rates as arrays: one model's domains, and statistics over them with their bootstrap intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recite.outcomes import PLANTED
from recite.tables.replicates import REPLICATES


class Drawn(NamedTuple):
    """One domain of one model, or several domains together: seen counts first, then those of every resample.

    n, memorized: (1 + resamples,) rows.
    """

    n: np.ndarray
    memorized: np.ndarray

    @property
    def rate(self) -> np.ndarray:
        """(1 + resamples,) share of memorized rows; the first is the rate that was seen."""
        return self.memorized / self.n


class Resampled(NamedTuple):
    """One model under one disturbance at most: its domains with their kinds and counts."""

    model: str
    family: str
    parameters: int
    noise_layer: int
    alpha: float
    kinds: dict[str, str]
    domains: dict[str, Drawn]

    def of_kind(self, kind: str) -> list[Drawn]:
        """The domains of a kind."""
        return [drawn for domain, drawn in self.domains.items() if self.kinds[domain] == kind]

    @property
    def natural(self) -> dict[str, Drawn]:
        """The domains that are not planted."""
        return {domain: drawn for domain, drawn in self.domains.items() if self.kinds[domain] != PLANTED}


def read_replicates(paths: Sequence[Path]) -> list[Resampled]:
    """Models by family, size, name, disturbed layer and strength; what stands in two files is taken from the first."""
    found: dict[tuple[str, int, str, int, float], Resampled] = {}
    for path in paths:
        table = REPLICATES.read(path)
        resamples = len(table["drawn_n"][0]) if len(table) else 0
        n, memorized = (
            table[name].combine_chunks().flatten().to_numpy().reshape(len(table), resamples).astype(float)
            for name in ("drawn_n", "drawn_memorized")
        )
        for place, line in enumerate(table.drop_columns(["drawn_n", "drawn_memorized"]).to_pylist()):
            key = line["family"], line["parameters"], line["model"], line["noise_layer"], line["alpha"]
            one = found.setdefault(key, Resampled(key[2], key[0], key[1], key[3], key[4], {}, {}))
            one.kinds[line["domain"]] = line["kind"]
            drawn = Drawn(
                np.concatenate([[line["n"]], n[place]]), np.concatenate([[line["memorized"]], memorized[place]])
            )
            one.domains.setdefault(line["domain"], drawn)
    return [found[key] for key in sorted(found)]


def together(parts: Sequence[Drawn]) -> Drawn:
    """Several domains as one."""
    return Drawn(sum(part.n for part in parts), sum(part.memorized for part in parts))  # type: ignore[arg-type]
