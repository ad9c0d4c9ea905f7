"""From sufficient suffixes to the share of the context that memorized rows need; one model in memory at a time."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.outcomes.draws import DRAWS, draw_line
from recite.outcomes.frame import NATURAL, Frame, read_frame
from recite.outcomes.means import bags_of
from recite.outcomes.rates import share_of
from recite.outcomes.rows import files_by_model, one_table
from recite.stages.compressibility.rows import SUFFIXES
from recite.stages.compressibility.tables import COMPRESSIBILITY, SUFFIX_LENGTHS
from recite.statistics.intervals import interval
from recite.tables import read_metadata

Line = dict[str, Any]


class Suffixes(NamedTuple):
    """What one model's memorized rows need of their contexts; rows by domain.

    length: tokens of a context. frame: how the rows were sampled. Columns (rows,): masks, and shortest as in the table
    of suffixes.
    """

    model: str
    family: str
    parameters: int
    length: int
    frame: Frame
    masks: np.ndarray
    shortest: np.ndarray

    @property
    def non_monotone(self) -> np.ndarray:
        """Which rows have a suffix that does not suffice though a shorter one does."""
        below = (self.shortest - 1).astype(np.uint64)
        everything = np.uint64(2**self.length - 1)
        return self.masks != everything >> below << below


def aggregate_suffixes(options: Mapping[str, Any], suffixes: Sequence[Path], outputs: Mapping[str, Path]) -> None:
    """Write the tables compressibility, suffix_lengths and draws.

    `suffixes` are parts of the table of suffixes, each naming its model. A model, or a domain of a model, without a
    memorized row has no line.
    """
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for paths in files_by_model(suffixes).values():
        read = read_suffixes(paths, options)
        lines["compressibility"] += ratio_lines(read, options)
        lines["suffix_lengths"] += length_lines(read)
        lines["draws"] += claimed_lines(read, options)
    for table in (COMPRESSIBILITY, SUFFIX_LENGTHS, DRAWS):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def read_suffixes(paths: Sequence[Path], options: Mapping[str, Any]) -> Suffixes:
    """All parts of one model; ReciteError where a row stands in two."""
    made = read_metadata(paths[0])
    model, length = made["options"]["model"], made["context_tokens"]
    rows = one_table(SUFFIXES.read(path) for path in paths)
    order, frame = read_frame(rows, model, options, whole=False)
    columns = (rows[name].to_numpy()[order] for name in ("mask", "shortest"))
    return Suffixes(model, made["options"]["family"], made["parameters"], length, frame, *columns)


def ratio_lines(read: Suffixes, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of the table compressibility of one model: every domain, and all natural domains together."""
    for domain, kind, rows in read.frame.each_domain():
        yield who(read) | {"domain": domain, "kind": kind, **summarize(read, rows, options)}


def claimed_lines(read: Suffixes, options: Mapping[str, Any]) -> Iterator[Line]:
    """Share of the memorized natural rows that half of the context suffices for, if there are any."""
    rows = read.frame.rows_of(NATURAL)
    if len(rows):
        bags, short = bags_of(read.frame, rows, options), 2 * read.shortest.astype(int) <= read.length
        yield draw_line(who(read), "short", bags.means(bags.sums(short[:, None])))


def summarize(read: Suffixes, rows: np.ndarray, options: Mapping[str, Any]) -> Line:
    """Ratio and shares of some rows."""
    shortest = read.shortest[rows].astype(np.int64)
    outcomes = {"short": 2 * shortest <= read.length, "non_monotone": read.non_monotone[rows]}
    bags = bags_of(read.frame, rows, options)
    drawn = bags.means(bags.sums(read.shortest[:, None].astype(float)))[:, 0] / read.length
    low, high = interval(drawn[1:], options["confidence"])
    line = {
        "n": len(rows),
        "distinct": bags.distinct,
        "mean_ratio": int(shortest.sum()) / len(rows) / read.length,
        "mean_ratio_low": low,
        "mean_ratio_high": high,
        "median_ratio": float(np.median(shortest)) / read.length,
    }
    for name, outcome in outcomes.items():
        found = share_of(read.frame, rows, outcome, options, name)
        line.setdefault("effective_n", found.pop(f"{name}_n"))
        line |= found
    return line


def length_lines(read: Suffixes) -> Iterator[Line]:
    """Lines of the table suffix_lengths of one model: every length, if there are natural rows."""
    rows = read.frame.rows_of(NATURAL)
    masks, n = read.masks[rows], len(rows)
    shortest = np.bincount(read.shortest[rows], minlength=read.length + 1)
    for length in range(1, read.length + 1) if n else ():
        sufficient = int((masks >> np.uint64(length - 1) & np.uint64(1)).sum())
        yield who(read) | {
            "length": length,
            "ratio": length / read.length,
            "n": n,
            "shortest": int(shortest[length]),
            "shortest_share": int(shortest[length]) / n,
            "sufficient": sufficient,
            "sufficient_share": sufficient / n,
        }


def who(read: Suffixes) -> Line:
    return {"model": read.model, "family": read.family, "parameters": read.parameters}
