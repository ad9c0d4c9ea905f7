"""One model's, or one sibling's, rows without sets of their neurons, by group, with how they were sampled."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.outcomes.frame import Frame, read_frame
from recite.outcomes.means import bags_of
from recite.outcomes.rates import Line
from recite.stages.neurons.rows import NEURON_ROWS
from recite.statistics.intervals import with_ends
from recite.tables import read_metadata
from recite.tables.lists import as_array


class Group(NamedTuple):
    """Rows that were drawn for one group, in the order of their frame.

    clean, without: hits and log-probabilities, (rows,) and (rows, rankings, sizes). top: (rows, TOP or fewer) numbers
    of the foremost neurons; top_layers: the same shape, their layers.
    """

    frame: Frame
    clean: tuple[np.ndarray, np.ndarray]
    without: tuple[np.ndarray, np.ndarray]
    top: np.ndarray
    top_layers: np.ndarray


class Read(NamedTuple):
    """Groups of a model's rows, none where it recites too little. ladder: sizes of sets; layers: neurons of each."""

    who: Line
    steps: int
    rankings: Sequence[str]
    ladder: Sequence[int]
    layers: Sequence[int]
    groups: dict[str, Group]


def read(path: Path, options: Mapping[str, Any]) -> Read:
    """A model's rows; `options` are the study's aggregation options."""
    made = read_metadata(path)
    model = made["options"]["model"]
    table = NEURON_ROWS.read(path)
    order, frame = read_frame(table, model, options, whole=False) if len(table) else (np.zeros(0, int), None)
    shape = len(table), len(made["rankings"]), len(made["ladder"])
    numbers = {name: table[name].to_numpy()[order] for name in ("clean_hits", "clean_log_probability", "drawn_share")}
    lists = {name: as_array(table[name]).reshape(shape)[order] for name in ("hits", "log_probability")}
    starts = np.cumsum([0, *made["layers"]])
    layers, neurons = (as_array(table[f"top_{name}"])[order].astype(np.int64) for name in ("layer", "neuron"))
    names = np.array(table["group"].to_pylist(), dtype=object)[order]
    groups = {}
    for name in dict.fromkeys(names.tolist()):
        assert frame is not None
        chosen = names == name
        part, shares = (
            frame.part(chosen),
            dict(zip(_domains(frame)[chosen], numbers["drawn_share"][chosen], strict=True)),
        )
        fractions = {domain: frame.fractions[domain] * float(shares[domain]) for domain in part.starts}
        groups[name] = Group(
            part._replace(fractions=fractions),
            (numbers["clean_hits"][chosen], numbers["clean_log_probability"][chosen]),
            (lists["hits"][chosen], lists["log_probability"][chosen]),
            starts[layers[chosen]] + neurons[chosen],
            layers[chosen],
        )
    who = {"model": model, "family": made["options"]["family"], "parameters": made["parameters"]}
    return Read(who, made["continuation_tokens"], made["rankings"], made["ladder"], made["layers"], groups)


def _domains(frame: Frame) -> np.ndarray:
    """The domain of each row."""
    found = np.empty(len(frame.row_ids), dtype=object)
    for domain, part in frame.starts.items():
        found[part] = domain
    return found


def statistics_of(group: Group, rows: np.ndarray, steps: int, options: Mapping[str, Any]) -> np.ndarray:
    """Means over some rows, as seen and under resamples: (1 + resamples, 3, sets), first without any set.

    The three are the score, the share of rows recited whole, and the log-probability lost, nats a token.
    """
    count = len(group.clean[0])
    hits, likely = (
        np.concatenate([clean[:, None], without.reshape(count, -1)], axis=1).astype(float)
        for clean, without in zip(group.clean, group.without, strict=True)
    )
    values = np.stack([hits / steps, hits >= options["memorized"] * steps, (likely[:, :1] - likely) / steps], axis=1)
    bags = bags_of(group.frame, rows, options)
    return bags.means(bags.sums(values.reshape(count, -1))).reshape(-1, 3, hits.shape[1])


def set_lines(one: Read, found: np.ndarray, options: Mapping[str, Any]) -> Iterator[Line]:
    """A line for each set, of the statistics of some rows; the first is of none."""
    names = [("none", 0), *((ranking, k) for ranking in one.rankings for k in one.ladder)]
    for place, (ranking, k) in enumerate(names):
        line: Line = {"ranking": ranking, "k": k, "share": k / sum(one.layers)}
        for statistic, values in zip(("score", "recited", "lost"), found[:, :, place].T, strict=True):
            line |= with_ends(statistic, values, options["confidence"])
        yield line


def counted(group: Group, rows: np.ndarray) -> Line:
    """How many rows, and distinct texts."""
    return {"n": len(rows), "distinct": len(np.unique(group.frame.texts[rows]))}
