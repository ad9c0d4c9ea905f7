"""From ablated rows to every head's importance by group and domain, with tests and ranks, and a screening's recall."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.stages.heads.summarize.importance import Ablated, Drops, drops_of, groups_of, read_models
from recite.stages.heads.summarize.recall import recall_lines
from recite.stages.heads.tables import HEADS, SCREENING
from recite.statistics.intervals import with_ends
from recite.statistics.tests import adjusted, sign_p_value

Line = dict[str, Any]


def aggregate_ablation(
    options: Mapping[str, Any], ablated: Sequence[Path], drawn: Sequence[Path], outputs: Mapping[str, Path]
) -> None:
    """Write the table heads from parts of the table of ablated rows, and the table screening where that is asked for.

    `drawn` says which rows are of which group. One model's rows are in memory at a time.
    """
    made = {"heads": (HEADS, head_lines), "screening": (SCREENING, recall_lines)}
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for who, read in read_models(ablated, drawn, options):
        for name in outputs:
            lines[name] += [who | line for line in made[name][1](read, options)]
    for name, path in outputs.items():
        table = made[name][0]
        table.write(path, {key: [line[key] for line in lines[name]] for key in table.names}, {"options": dict(options)})


def head_lines(read: Ablated, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of one model and group: all heads by natural and by planted rows, by their domains together and by each.

    The q-values of a measure are adjusted over the heads that were ablated, of the same rows.
    """
    layers, heads = read.shape
    places = [divmod(int(number), heads) for number in read.heads]
    for kind, domain, rows in groups_of(read):
        drops = drops_of(read, rows, options)
        ranks = ranks_of(drops)
        measured = {f"{name}_drop": getattr(drops, name) for name in ("hits", "log_probability", "probability")}
        p_values = {
            name: [sign_p_value(drawn, drops.distinct) for drawn in values[1:].T] for name, values in measured.items()
        }
        q_values = {name: adjusted(values) for name, values in p_values.items()}
        for place, (layer, head) in enumerate(places):
            line = {"rows": kind, "domain": domain, "layer": layer, "head": head, "depth": (layer + 1) / layers}
            line |= {"heads": layers * heads, "n": len(rows), "distinct": drops.distinct, "rank": int(ranks[place])}
            for name, values in measured.items():
                line |= with_ends(name, values[:, place], options["confidence"])
                line |= {f"{name}_p_value": p_values[name][place], f"{name}_q_value": q_values[name][place]}
            yield line


def ranks_of(drops: Drops) -> np.ndarray:
    """Rank of each head, from 1: by the drop in hits, equal ones by that in log-probability, then by their order."""
    order = np.lexsort((-drops.log_probability[0], -drops.hits[0]))
    ranks = np.empty(len(order), int)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks
