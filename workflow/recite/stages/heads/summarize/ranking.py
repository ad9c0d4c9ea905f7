"""From ablated rows to every head's importance by group and domain, with tests and ranks."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.stages.heads.ablated import Group
from recite.stages.heads.summarize.importance import Drops, drops_of, kinds_of, read_models
from recite.stages.heads.tables import HEADS
from recite.statistics.intervals import with_ends
from recite.statistics.tests import adjusted, sign_p_value

Line = dict[str, Any]


def aggregate_ablation(options: Mapping[str, Any], ablated: Sequence[Path], drawn: Sequence[Path], heads: Path) -> None:
    """Write the table heads from parts of the table of ablated rows.

    `drawn` says which rows are of which group. One model's rows are in memory at a time.
    """
    lines = [who | line for who, group in read_models(ablated, drawn, options) for line in head_lines(group, options)]
    HEADS.write_lines(heads, lines, {"options": dict(options)})


def head_lines(group: Group, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of one model and group: all heads by natural and by planted rows, by their domains together and by each.

    The q-values of a measure are adjusted over all heads, of the same rows. A head that was left at a look is looked
    at more than once: its intervals are those of repeated looks, of which each may miss an equal part of what one may
    (Jennison & Turnbull 1989), and so are its p-values.
    """
    layers, heads = group.rows.shape
    rounds = 1 + int(group.round.max())
    for kind, domain, rows in kinds_of(group.rows):
        drops = drops_of(group, rows, options)
        ranks = ranks_of(drops)
        measured = {f"{name}_drop": getattr(drops, name) for name in ("hits", "log_probability", "probability")}
        looks = np.where(drops.n < len(rows), rounds, 1)
        p_values = {
            name: [
                min(1.0, looks[place] * sign_p_value(values[1:, place], int(drops.distinct[place])))
                for place in range(layers * heads)
            ]
            for name, values in measured.items()
        }
        q_values = {name: adjusted(values) for name, values in p_values.items()}
        for place in range(layers * heads):
            layer, head = divmod(place, heads)
            line = {"rows": kind, "domain": domain, "layer": layer, "head": head, "depth": (layer + 1) / layers}
            line |= {"heads": layers * heads, "n": int(drops.n[place]), "distinct": int(drops.distinct[place])}
            line |= {"rank": int(ranks[place])}
            for name, values in measured.items():
                line |= with_ends(name, values[:, place], 1 - (1 - options["confidence"]) / float(looks[place]))
                line |= {f"{name}_p_value": p_values[name][place], f"{name}_q_value": q_values[name][place]}
            yield line


def ranks_of(drops: Drops) -> np.ndarray:
    """Rank of each head, from 1: by the drop in hits, equal ones by that in log-probability, then by their order."""
    order = np.lexsort((-drops.log_probability[0], -drops.hits[0]))
    ranks = np.empty(len(order), int)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks
