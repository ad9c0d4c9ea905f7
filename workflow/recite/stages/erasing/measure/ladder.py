"""The ladder of each intervention: how strong it is, rung by rung, and what it does to a pass.

Heads, sublayers and neurons are replaced by their means over rows that are not measured for recall, several at once;
noise falls on the output of the first layer over the context, its size that of each position (the paper's).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import Intervention
from recite.engine.interventions.heads import HeadReplacement
from recite.engine.interventions.joint import together
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.interventions.sublayers import NeuronReplacement, SublayerReplacement
from recite.engine.likelihoods import given, handed_on, mean_states
from recite.files import hash64
from recite.stages.erasing.measure.ranking import Place, Ranking
from recite.stages.erasing.rows import HEADS, NEURONS, NOISE, NONE, RANDOM, RANKED, SUBLAYERS, Rung
from recite.stages.sublayers.rows import SUBLAYERS as NAMES


class Means(NamedTuple):
    """Means over rows and positions, by layer: heads (heads x width,), sublayers (NAMES, width), neurons (neurons,)."""

    heads: list[Tensor]
    sublayers: list[Tensor]
    neurons: list[Tensor]


def means_of(checkpoint: Checkpoint, text: Tensor, batch_rows: int, neurons: bool) -> Means:
    """The means over `text` (rows, length), fed but for its last token; those of neurons where they are asked for."""
    layers = range(len(checkpoint.layers))
    heads = [checkpoint.attention_output(layer) for layer in layers]
    sublayers = [checkpoint.sublayer(layer, name) for layer in layers for name in NAMES]
    inner = [checkpoint.sublayer(layer, "mlp") for layer in layers if neurons]
    of_sublayers = torch.stack(mean_states(checkpoint, text, batch_rows, sublayers, handed_on))
    of_inputs = mean_states(checkpoint, text, batch_rows, [*heads, *inner], given)
    return Means(of_inputs[: len(heads)], list(of_sublayers.unflatten(0, (-1, len(NAMES)))), of_inputs[len(heads) :])


class Ladder:
    """All rungs, and how each changes some rows.

    rankings: heads, sublayers, neurons -> what is replaced first. `options` say which strengths there are of each.
    """

    def __init__(
        self, checkpoint: Checkpoint, options: Mapping[str, Any], rankings: Mapping[str, Ranking], means: Means
    ) -> None:
        self.checkpoint, self.options, self.means = checkpoint, options, means
        self.places = {(name, RANKED): ranking.places for name, ranking in rankings.items()}
        for name in (HEADS, NEURONS):
            if name in rankings:
                self.places[name, RANDOM] = self._shuffled(name, rankings[name])
        self.totals = {name: ranking.total for name, ranking in rankings.items()}

    def _shuffled(self, name: str, ranking: Ranking) -> list[Place]:
        """What is ranked in an order that a seed decides: a smaller random set is part of a larger one."""
        rng = np.random.default_rng(hash64(self.options["seed"], "random set", self.options["model"], name))
        return [ranking.places[place] for place in rng.permutation(len(ranking.places))]

    def rungs(self) -> Iterator[Rung]:
        """In the order of the tables; no more is replaced than can be."""
        for alpha in self.options[NOISE]:
            yield Rung(NOISE, NONE, alpha, 0.0)
        for (name, order), places in self.places.items():
            for count in self.options[name]:
                if count <= len(places):
                    yield Rung(name, order, count, count / self.totals[name])

    def intervention(self, rung: Rung, row_ids: Sequence[int]) -> Intervention:
        """What a rung does to rows of these ids."""
        if rung.intervention == NOISE:
            return ResidualNoise(
                self.checkpoint, 0, row_ids, rung.strength, self.options["seed"], rms="token", positions="prompt"
            )
        places = self.places[rung.intervention, rung.order][: round(rung.strength)]
        if rung.intervention == HEADS:
            return self._without_heads(places, len(row_ids))
        if rung.intervention == SUBLAYERS:
            return together(
                [
                    SublayerReplacement(
                        self.checkpoint, layer, NAMES[number], "dataset_mean", self.means.sublayers[layer][number]
                    )
                    for layer, number in places
                ]
            )
        return self._without_neurons(places)

    def _without_heads(self, places: Sequence[Place], rows: int) -> Intervention:
        return together(
            [
                HeadReplacement(
                    self.checkpoint, layer, torch.full((rows,), head), "dataset_mean", self.means.heads[layer]
                )
                for layer, head in places
            ]
        )

    def _without_neurons(self, places: Sequence[Place]) -> Intervention:
        chosen: dict[int, Tensor] = {}
        for layer, neuron in places:
            none = torch.zeros(1, len(self.means.neurons[layer]), dtype=torch.bool)
            chosen.setdefault(layer, none)[0, neuron] = True
        return NeuronReplacement(self.checkpoint, chosen, {layer: self.means.neurons[layer] for layer in chosen})
