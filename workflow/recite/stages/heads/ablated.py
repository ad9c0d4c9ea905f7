"""What a model's rows lose by each of its heads, read from the parts of its table, group by group."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.errors import ReciteError
from recite.outcomes import means as outcomes
from recite.outcomes.frame import Frame, read_frame
from recite.outcomes.rows import one_table
from recite.stages.heads.rows import ABLATED, ABLATION_ROWS
from recite.tables import read_metadata

GROUPS = (outcomes.ALL, outcomes.MEMORIZED, outcomes.HALF, outcomes.UNMEMORIZED)
"""Rows by their score, in the order of the tables."""
MEASURES = ("hits", "log_probability")
"""What a head's importance is taken by."""
LOST = ("hits", "log_probability", "probability")
"""What is read of each row and head."""


class Ablated(NamedTuple):
    """One model's rows without each of its heads, in the order of their frame.

    shape: layers, and heads of a layer. steps: tokens of the continuation. measured: (rows, heads) bool, whether the
    row was run without the head; 0 stands where it was not. hits: (rows, heads) int16, hits lost by each head.
    log_probability: the same shape, float32, log-probability lost of the true continuation, nats; probability: what it
    loses itself, which a draw meets with it.
    """

    model: str
    family: str
    parameters: int
    shape: tuple[int, int]
    steps: int
    frame: Frame
    measured: np.ndarray
    hits: np.ndarray
    log_probability: np.ndarray
    probability: np.ndarray


class Group(NamedTuple):
    """The rows of one group, of `Ablated`, and in which rounds they were run without which heads.

    name: the group's. round: (rows,), each row's. rounds: domain -> (heads,), in how many rounds, from the first, its
    rows were run without each head. drawn: domain -> the group's rows of all rounds, those to come, too.
    """

    name: str
    rows: Ablated
    round: np.ndarray
    rounds: dict[str, np.ndarray]
    drawn: dict[str, int]

    @property
    def whole(self) -> bool:
        """Whether every row was run without every head."""
        return bool(self.rows.measured.all())

    @property
    def measure(self) -> str:
        """What its heads are ranked by: rows that recite nothing have no hits to lose."""
        return "log_probability" if self.name == outcomes.UNMEMORIZED else "hits"

    @property
    def measures(self) -> Sequence[str]:
        """By what its heads can be ranked: where some were left, it was for their place by `measure`."""
        return MEASURES if self.whole else (self.measure,)

    def patterns(self, domain: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Heads whose rows of a domain are the same: their numbers, and the indices of these rows, ascending."""
        part = self.rows.frame.starts[domain]
        for count in np.unique(self.rounds[domain]):
            rows = part.start + np.flatnonzero(self.round[part] < count)
            yield np.flatnonzero(self.rounds[domain] == count), rows

    def led(self, domain: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a domain that were run without the heads that have most rows, and their mean loss by these.

        Indices of the rows, ascending, and (rows,), of `values` (rows of the group, heads).
        """
        *_, (heads, rows) = self.patterns(domain)
        return rows, values[np.ix_(rows, heads)].mean(axis=1, dtype=np.float64)

    def first_round(self) -> "Group":
        """The rows that were run without every head."""
        chosen = self.round == 0
        starts = self.rows.frame.starts
        rows = taken(self.rows, chosen)
        rounds = {domain: np.ones_like(self.rounds[domain]) for domain in starts if domain in rows.frame.starts}
        return Group(self.name, rows, self.round[chosen], rounds, self.drawn)


def taken(read: Ablated, chosen: np.ndarray) -> Ablated:
    """The `chosen` rows, (rows,) bool, as a smaller sample."""
    values = {name: getattr(read, name)[chosen] for name in ("measured", *LOST)}
    return read._replace(frame=read.frame.part(chosen), **values)


def groups_of(read: Ablated, drawn: Sequence[Path], rounds: int | None = None) -> Iterator[Group]:
    """The rows that were drawn for each group, or those of the first `rounds`; groups without rows are left out.

    `drawn` are the model's tables of drawn rows. Their share of the corpus is that of the sample, times that of the
    group's rows in the sample. ReciteError where they were not all ablated.
    """
    table = one_table(ABLATION_ROWS.read(path) for path in drawn).to_pandas()
    for group in GROUPS:
        part = table[table["group"] == group]
        drawn_rows = part.groupby("domain", observed=True).size().to_dict()
        part = part if rounds is None else part[part["round"] < rounds]
        chosen, shares, numbers = np.zeros(len(read.measured), bool), {}, np.zeros(len(read.measured), np.int64)
        for domain, lines in part.groupby("domain", observed=True):
            here = read.frame.starts.get(domain, slice(0))
            lines = lines.sort_values("row_id")
            found = np.isin(read.frame.row_ids[here], lines["row_id"])
            chosen[here] = found
            if found.sum() == len(lines):
                numbers[np.arange(here.start, here.stop)[found]] = lines["round"]
            shares[domain] = float(lines["inclusion_probability"].iloc[0]) * len(lines) / drawn_rows[domain]
        if chosen.sum() != len(part):
            raise ReciteError(f"not all rows that {drawn[0].parent} names were ablated; delete it and run again.")
        if len(part):
            fractions = {domain: read.frame.fractions[domain] * share for domain, share in shares.items()}
            rows = taken(read, chosen)
            rows = rows._replace(frame=rows.frame._replace(fractions=fractions))
            yield _group(group, rows, numbers[chosen], drawn_rows)


def _group(name: str, rows: Ablated, numbers: np.ndarray, drawn: dict[str, int]) -> Group:
    """Rows of one group and each one's round; ReciteError where one was not run without every head in the first."""
    rounds = {}
    for domain, part in rows.frame.starts.items():
        measured, of_rows = rows.measured[part], numbers[part]
        whole = [measured[of_rows == number].all(axis=0) for number in range(int(of_rows.max()) + 1)]
        rounds[domain] = np.cumprod(whole, axis=0).sum(axis=0)
        if not rounds[domain].all():
            raise ReciteError(f"the heads of {rows.model} were not all ablated on {domain}; delete them and run again.")
        known = of_rows[:, None] < rounds[domain]
        for lost in LOST:
            getattr(rows, lost)[part][~known] = 0
        measured[:] = known
    return Group(name, rows, numbers, rounds, drawn)


def read_ablated(paths: Sequence[Path], options: Mapping[str, Any]) -> Ablated:
    """All parts, rounds and layers of one model; ReciteError where layers are there of other rows."""
    blocks: dict[int, list[Path]] = {}
    for path in paths:
        blocks.setdefault(read_metadata(path)["first_layer"], []).append(path)
    made = read_metadata(paths[0])
    model, shape = made["options"]["model"], (made["layers"], made["heads"])
    frame: Frame | None = None
    for first in sorted(blocks):
        table = one_table(ABLATED.read(path) for path in blocks[first])
        order, own = read_frame(table, model, options, whole=False)
        if frame is None:
            frame, size = own, (len(table), shape[0] * shape[1])
            read = Ablated(
                model,
                made["options"]["family"],
                made["parameters"],
                shape,
                made["continuation_tokens"],
                frame,
                np.zeros(size, bool),
                np.zeros(size, np.int16),
                np.zeros(size, np.float32),
                np.zeros(size, np.float32),
            )
        elif not np.array_equal(own.row_ids, frame.row_ids):
            raise ReciteError(
                f"the layers of {model} were not all ablated on the same rows; delete them and run again."
            )
        _fill(read, table, order)
    return read


def _fill(read: Ablated, table: pa.Table, order: np.ndarray) -> None:
    """Put what some layers' heads cost into the rows' places."""
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    lists = {name: table[name].combine_chunks() for name in ("heads", "hits", "log_probability")}
    heads, hits, logs = (column.flatten().to_numpy() for column in lists.values())
    lines = np.repeat(np.arange(len(order)), np.diff(lists["heads"].offsets.to_numpy()))
    rows = places[lines]
    clean, likely = (table[name].to_numpy()[lines] for name in ("clean_hits", "clean_log_probability"))
    read.measured[rows, heads] = True
    read.hits[rows, heads] = clean.astype(np.int16) - hits.astype(np.int16)
    read.log_probability[rows, heads] = likely - logs
    read.probability[rows, heads] = np.exp(likely) - np.exp(logs)
