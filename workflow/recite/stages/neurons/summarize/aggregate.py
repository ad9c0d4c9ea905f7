"""The tables behind figures and summary, from what was measured of models and of siblings."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.corpora.planted import known_copies
from recite.outcomes.copies import copies_of, unseen_rows
from recite.outcomes.frame import NATURAL, PLANTED
from recite.outcomes.means import UNMEMORIZED, bags_of, layer_lines
from recite.outcomes.rates import Line
from recite.stages.neurons.rows import CARRIERS, OTHERS
from recite.stages.neurons.summarize.overlap import overlap_lines
from recite.stages.neurons.summarize.reading import Read, counted, read, set_lines, statistics_of
from recite.stages.neurons.tables import NEURON_LAYERS, NEURON_OVERLAP, NEURON_SIBLINGS, NEURONS

UNSEEN = "unseen"
"""In place of a kind: rows that no model was trained on."""


def aggregate_neurons(
    options: Mapping[str, Any],
    neuron_rows: Sequence[Path],
    class_neurons: Sequence[Path],
    siblings: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    outputs: Mapping[str, Path],
) -> None:
    """Write the tables neurons, neuron_overlap and neuron_layers and, of `siblings`, neuron_siblings.

    `neuron_rows` and `class_neurons` are of the models, in one order; `planted` and `controls` as for the scores.
    """
    repetitions = known_copies(planted, controls) if controls else {}
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for rows, of_class in zip(neuron_rows, class_neurons, strict=True):
        one = read(rows, options)
        lines["neurons"] += neuron_lines(one, repetitions, options)
        lines["neuron_overlap"] += overlap_lines(one, of_class, options)
        lines["neuron_layers"] += layers_lines(one, options)
    if siblings:
        lines["neuron_siblings"] += sibling_lines([read(path, options) for path in siblings], options)
    for table in (NEURONS, NEURON_OVERLAP, NEURON_LAYERS, NEURON_SIBLINGS):
        if table.name in outputs:
            table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def neuron_lines(one: Read, repetitions: Mapping[int, int], options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of one model: natural and planted rows of each group, and unmemorized ones that it was not trained on."""
    for name, group in one.groups.items():
        kinds = {NATURAL: group.frame.rows_of(NATURAL), PLANTED: group.frame.rows_of(PLANTED)}
        if name == UNMEMORIZED:
            kinds[UNSEEN] = unseen_rows(group.frame, copies_of(group.frame, repetitions))
        for kind, rows in kinds.items():
            if len(rows):
                about = one.who | {"rows": kind, "group": name} | counted(group, rows)
                found = statistics_of(group, rows, one.steps, options)
                yield from (about | line for line in set_lines(one, found, options))


def layers_lines(one: Read, options: Mapping[str, Any]) -> Iterator[Line]:
    """Where the foremost neurons of natural rows lie: a line for each group and layer."""
    for name, group in one.groups.items():
        rows = group.frame.rows_of(NATURAL)
        if not len(rows):
            continue
        shares = np.stack([(group.top_layers == layer).mean(axis=1) for layer in range(len(one.layers))], axis=1)
        bags = bags_of(group.frame, rows, options)
        found = {"share": bags.means(bags.sums(shares))}
        for layer, line in enumerate(layer_lines(found, options["confidence"])):
            place = {"layer": layer, "depth": (layer + 1) / len(one.layers)}
            yield one.who | {"group": name} | place | counted(group, rows) | line


def sibling_lines(siblings: Sequence[Read], options: Mapping[str, Any]) -> Iterator[Line]:
    """Means over siblings, each of which counts alike; those without carriers are left out."""
    measured = [one for one in siblings if one.groups]
    for name in (CARRIERS, OTHERS):
        having = [one for one in measured if name in one.groups]
        if not having:
            continue
        groups = [one.groups[name] for one in having]
        every = [np.arange(len(group.top)) for group in groups]
        found = [
            statistics_of(group, rows, one.steps, options)
            for one, group, rows in zip(having, groups, every, strict=True)
        ]
        texts = len(np.unique(np.concatenate([group.frame.texts for group in groups])))
        about = having[0].who | {"siblings": len(having), "group": name}
        about |= {"n": sum(map(len, every)), "distinct": texts}
        yield from (about | line for line in set_lines(having[0], np.mean(found, axis=0), options))
