"""What a rehearsed study holds by construction: rates, what noise leaves of them, profiles over layers, and heads."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from recite.files import hash64
from recite.study.study import Study

STEPS = 32
"""Tokens of a context, and of a continuation."""
VOCABULARY = 400
UNSCORED = 0.5
"""Share of the rows that are not recited which have no hit; a fiftieth has half of them, the others any number."""
HALF = 0.02
INCLUSION = 0.02
HEADS = 0.05
"""Share of a model's heads that carry its recall."""
LOST_HITS, LOST_NATS = 8, 6.0
"""What memorized rows lose without one of these."""
SHARPNESS = 0.07
"""Of a layer profile's rise, in relative depth."""
FINAL = {"memorized": 0.95, "unmemorized": 0.25, "between": 0.6}
"""Probability of the true token after the last layer."""
LESS_GROWTH = 0.8
"""Growth of noise in memorized rows over that in others, at the last layer."""


class Family(NamedTuple):
    """rate: of a model of 7 billion parameters. slope: its power of the size. noise: strength that halves it. rise:
    relative depth at which half of the final probability is reached. growth: of noise through all layers."""

    rate: float
    slope: float
    noise: float
    rise: float
    growth: float


FAMILIES = {
    "pythia": Family(0.02, 0.3, 0.20, 0.55, 0.7),
    "openllama": Family(0.004, 0.25, 0.25, 0.60, 0.8),
    "starcoder": Family(0.05, 0.2, 0.15, 0.50, 0.6),
    "olmo1": Family(0.01, 0.35, 0.30, 0.65, 0.9),
    "olmo2": Family(0.006, 0.3, 0.22, 0.70, 1.1),
    "olmo3": Family(0.001, 0.3, 0.28, 0.75, 1.3),
}
OF_KIND = {"structural": 2.0, "free_text": 0.5}
"""How far a domain's rate is above its family's; beside that, domains differ by up to a factor of two."""


@dataclass(frozen=True)
class Planted:
    """The truth of one model of a study."""

    study: Study
    model: str

    @cached_property
    def family(self) -> str:
        return self.study.models[self.model].family

    @cached_property
    def traits(self) -> Family:
        return FAMILIES[self.family]

    @cached_property
    def shape(self) -> Mapping[str, int]:
        return self.study.shape_of(self.model)

    @property
    def layers(self) -> int:
        return self.shape["layers"]

    @property
    def heads(self) -> int:
        return self.shape["heads"]

    @property
    def depths(self) -> np.ndarray:
        """Relative depths of the layers, (layers,)."""
        return (np.arange(self.layers) + 1) / self.layers

    def rate(self, domain: str) -> float:
        """Share of a domain's texts that are recited whole."""
        kind = OF_KIND[self.study.domains_of(self.model)[domain]]
        own = 2 ** (2 * hash64(self.study.seed, "domain", self.family, domain) / 2**64 - 1)
        size = (self.shape["parameters"] / 7e9) ** self.traits.slope
        return min(0.5, self.traits.rate * kind * own * size)

    def left(self, alpha: float) -> float:
        """Share of what is recited that is under noise of that strength, too; 1 without."""
        middle, width = self.traits.noise, 0.05
        return (1 + math.exp(-middle / width)) / (1 + math.exp((alpha - middle) / width))

    def natural_rate(self, alpha: float = 0.0) -> float:
        """Of all domains together, of each of which as many rows are drawn."""
        return float(np.mean([self.rate(domain) for domain in self.study.domains_of(self.model)])) * self.left(alpha)

    def probability(self, group: str) -> np.ndarray:
        """Of the true token after each layer, (layers,), in rows of a class."""
        return FINAL[group] / (1 + np.exp((self.traits.rise - self.depths) / SHARPNESS))

    def growth(self, memorized: bool) -> np.ndarray:
        """Size of the difference that noise makes over that of the noise after each layer, (layers,)."""
        last = self.traits.growth * (LESS_GROWTH if memorized else 1)
        return 1 + (last - 1) * np.arange(self.layers) / (self.layers - 1)

    def regained(self, memorized: bool) -> np.ndarray:
        """Share of the lost cosine that is there again after each layer, (layers,)."""
        last = 0.6 if memorized else 0.4
        return last * np.arange(self.layers) / (self.layers - 1)

    @cached_property
    def carriers(self) -> np.ndarray:
        """Numbers, layer x heads of a layer + head, of the heads that carry recall."""
        total = self.layers * self.heads
        rng = np.random.default_rng(hash64(self.study.seed, "carriers", self.model))
        return np.sort(rng.choice(total, max(1, round(HEADS * total)), replace=False))

    @property
    def peak(self) -> int:
        """The layer whose MLP costs memorized rows most."""
        return round(self.traits.rise * (self.layers - 1))

    def sublayer_losses(self) -> np.ndarray:
        """What memorized rows lose without each sublayer, hits, (layers, attention and MLP): most at the peak."""
        near = np.exp(-(((np.arange(self.layers) - self.peak) / (0.08 * self.layers)) ** 2))
        return np.column_stack([4 * near, 10 * near])
