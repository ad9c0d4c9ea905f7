"""From sufficient suffixes to the share of the context that memorized rows need; one model in memory at a time."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.files import hash64
from recite.outcomes.rows import NATURAL, by_domain, each_domain, files_by_model, one_table, rows_of
from recite.stages.compressibility.rows import SUFFIXES
from recite.stages.compressibility.tables import COMPRESSIBILITY, SUFFIX_LENGTHS
from recite.statistics.intervals import Clusters, effective_clusters, interval, resampled, wilson
from recite.tables import read_metadata

Line = dict[str, Any]


class Suffixes(NamedTuple):
    """What one model's memorized rows need of their contexts; rows by domain.

    length: tokens of a context. kinds: sampled domain -> kind. starts: domain -> its rows. Columns (rows,): texts (ids
    of the rows' texts), masks, and shortest as in the table of suffixes.
    """

    model: str
    family: str
    parameters: int
    length: int
    kinds: dict[str, str]
    starts: dict[str, slice]
    texts: np.ndarray
    masks: np.ndarray
    shortest: np.ndarray

    @property
    def non_monotone(self) -> np.ndarray:
        """Which rows have a suffix that does not suffice though a shorter one does."""
        below = (self.shortest - 1).astype(np.uint64)
        everything = np.uint64(2**self.length - 1)
        return self.masks != everything >> below << below


def aggregate_suffixes(options: Mapping[str, Any], suffixes: Sequence[Path], outputs: Mapping[str, Path]) -> None:
    """Write the tables compressibility and suffix_lengths.

    `suffixes` are parts of the table of suffixes, each naming its model. A model, or a domain of a model, without a
    memorized row has no line.
    """
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for run, paths in files_by_model(suffixes).items():
        read = read_suffixes(paths, options["kinds"][options["corpora"][run.model]])
        lines["compressibility"] += ratio_lines(read, options)
        lines["suffix_lengths"] += length_lines(read)
    for table in (COMPRESSIBILITY, SUFFIX_LENGTHS):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def read_suffixes(paths: Sequence[Path], kinds: dict[str, str]) -> Suffixes:
    """All parts of one model; ReciteError where a row stands in two."""
    made = read_metadata(paths[0])
    model, length = made["options"]["model"], made["context_tokens"]
    rows = one_table(SUFFIXES.read(path) for path in paths)
    order, starts = by_domain(rows, kinds, model)
    columns = (rows[name].to_numpy()[order] for name in ("sequence_id", "mask", "shortest"))
    return Suffixes(model, made["options"]["family"], made["parameters"], length, kinds, starts, *columns)


def ratio_lines(read: Suffixes, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of the table compressibility of one model: every domain, and all natural domains together."""
    for domain, kind, rows in each_domain(read.kinds, read.starts):
        rng = np.random.default_rng(hash64(options["seed"], "compressibility", read.model, domain))
        yield who(read) | {"domain": domain, "kind": kind, **summarize(read, rows, rng, options)}


def summarize(read: Suffixes, rows: np.ndarray, rng: np.random.Generator, options: Mapping[str, Any]) -> Line:
    """Ratio and shares of some rows; the bootstrap and the Wilson intervals take rows of one text as one."""
    shortest = read.shortest[rows].astype(np.int64)
    outcomes = {"short": 2 * shortest <= read.length, "non_monotone": read.non_monotone[rows]}
    _, places, sizes = np.unique(read.texts[rows], return_inverse=True, return_counts=True)
    by_text = Clusters(sizes, np.bincount(places, weights=shortest))
    drawn = resampled(np.column_stack(by_text), options["resamples"], rng)
    low, high = interval(drawn[:, 1] / drawn[:, 0] / read.length, options["confidence"])
    line = {
        "n": len(rows),
        "distinct": len(sizes),
        "mean_ratio": int(shortest.sum()) / len(rows) / read.length,
        "mean_ratio_low": low,
        "mean_ratio_high": high,
        "median_ratio": float(np.median(shortest)) / read.length,
    }
    for name, outcome in outcomes.items():
        share = int(outcome.sum()) / len(rows)
        effective = effective_clusters(Clusters(sizes, np.bincount(places, weights=outcome)))
        low, high = wilson(share, effective, options["confidence"])
        line |= {name: share, f"{name}_low": low, f"{name}_high": high}
        line.setdefault("effective_n", effective)
    return line


def length_lines(read: Suffixes) -> Iterator[Line]:
    """Lines of the table suffix_lengths of one model: every length, if there are natural rows."""
    rows = rows_of(NATURAL, read.kinds, read.starts)
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
