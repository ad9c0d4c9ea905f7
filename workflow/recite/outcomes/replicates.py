"""Resampled rates as arrays: one model's domains, and statistics over them with their bootstrap intervals."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.files import hash64
from recite.outcomes.rates import Line, who
from recite.outcomes.rows import PLANTED, Outcomes
from recite.statistics.intervals import resampled
from recite.tables import Column, Table
from recite.tables.columns import NOISE_LAYER

REPLICATES = Table(
    "replicates",
    (
        Column("model", pa.string(), "", "model"),
        Column("family", pa.string(), "", "model family"),
        Column("parameters", pa.uint64(), "parameter", "size of the model, embeddings included"),
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength; 0 where undisturbed"),
        Column("domain", pa.string(), "", "domain of the rows"),
        Column("kind", pa.string(), "", "structural, free_text or planted"),
        Column("n", pa.uint64(), "row", "rows scored"),
        Column("memorized", pa.uint64(), "row", "rows memorized"),
        Column(
            "drawn_n",
            pa.list_(pa.uint32()),
            "row",
            "rows in each resample of the domain's texts; a resample is the same texts under all models of a corpus",
        ),
        Column("drawn_memorized", pa.list_(pa.uint32()), "row", "memorized rows in each resample"),
    ),
)


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


def replicate_lines(corpus: str, read: Sequence[Outcomes], options: Mapping[str, Any]) -> Iterator[Line]:
    """Every domain's rates under resamples of its texts, the same for all of `read`, which keeps their dependence.

    Tokenizers cut a document differently; its text bears the name that the first family gives it.
    """
    ordered = sorted(read, key=lambda one: (one.family, one.parameters, one.model, one.noise_layer, one.alpha))
    for domain in dict.fromkeys(domain for outcomes in ordered for domain in outcomes.starts):
        given = [outcomes for outcomes in ordered if domain in outcomes.starts]
        sums = _sums_by_text(given, domain, options)
        rng = np.random.default_rng(hash64(options["seed"], "replicates", corpus, domain))
        drawn = resampled(sums, options["resamples"], rng).astype(np.int64)
        totals = sums.sum(axis=0)
        for place, outcomes in enumerate(given):
            yield who(outcomes) | {
                "noise_layer": outcomes.noise_layer,
                "alpha": outcomes.alpha,
                "domain": domain,
                "kind": outcomes.kinds[domain],
                "n": int(totals[2 * place]),
                "memorized": int(totals[2 * place + 1]),
                "drawn_n": drawn[:, 2 * place],
                "drawn_memorized": drawn[:, 2 * place + 1],
            }


def _sums_by_text(read: Sequence[Outcomes], domain: str, options: Mapping[str, Any]) -> np.ndarray:
    """What each text of a domain adds: (texts, 2 x read), its rows that a model was given and those it memorized."""
    ids = np.unique(np.concatenate([outcomes.row_ids[outcomes.starts[domain]] for outcomes in read]))
    places = [np.searchsorted(ids, outcomes.row_ids[outcomes.starts[domain]]) for outcomes in read]
    names = np.zeros(len(ids), np.uint64)
    for outcomes, rows in zip(reversed(read), reversed(places), strict=True):
        names[rows] = outcomes.texts[outcomes.starts[domain]]
    _, texts = np.unique(names, return_inverse=True)
    sums = np.zeros((texts.max() + 1, 2 * len(read)), np.int32)
    for place, (outcomes, rows) in enumerate(zip(read, places, strict=True)):
        memorized = outcomes.memorized(options)[outcomes.starts[domain]]
        sums[:, 2 * place] = np.bincount(texts[rows], minlength=len(sums))
        sums[:, 2 * place + 1] = np.bincount(texts[rows], weights=memorized, minlength=len(sums))
    return sums
