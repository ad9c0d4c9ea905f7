"""Resampled rates as arrays: one model's domains, and statistics over them with their bootstrap intervals."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.outcomes.frame import is_natural
from recite.outcomes.means import bags_of
from recite.outcomes.rates import Line
from recite.outcomes.rows import Outcomes
from recite.tables import Column, Table
from recite.tables.columns import NOISE_LAYER
from recite.tables.lists import as_array

REPLICATES = Table(
    "replicates",
    (
        Column("model", pa.string(), "", "model"),
        Column("family", pa.string(), "", "model family"),
        Column("parameters", pa.uint64(), "parameter", "size of the model, embeddings included"),
        NOISE_LAYER,
        Column("alpha", pa.float64(), "", "noise strength; 0 where undisturbed"),
        Column("domain", pa.string(), "", "domain of the rows"),
        Column("kind", pa.string(), "", "structural, free_text, planted or held_out"),
        Column("n", pa.uint64(), "row", "rows scored"),
        Column("memorized", pa.uint64(), "row", "rows memorized"),
        Column("unmemorized", pa.uint64(), "row", "rows unmemorized"),
        Column(
            "drawn_n",
            pa.list_(pa.float32()),
            "row",
            "rows in each resample of the domain, weighted; a resample is the same under all models of a corpus",
        ),
        Column("drawn_memorized", pa.list_(pa.float32()), "row", "memorized rows in each resample"),
        Column("drawn_unmemorized", pa.list_(pa.float32()), "row", "unmemorized rows in each resample"),
    ),
)


class Drawn(NamedTuple):
    """One domain of one model, or several domains together: seen counts first, then those of every resample.

    n, memorized, unmemorized: (1 + resamples,) rows.
    """

    n: np.ndarray
    memorized: np.ndarray
    unmemorized: np.ndarray

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
        """The natural domains."""
        return {domain: drawn for domain, drawn in self.domains.items() if is_natural(self.kinds[domain])}


def read_replicates(paths: Sequence[Path]) -> list[Resampled]:
    """Models by family, size, name, disturbed layer and strength; what stands in two files is taken from the first."""
    found: dict[tuple[str, int, str, int, float], Resampled] = {}
    for path in paths:
        table = REPLICATES.read(path)
        drawn = {name: as_array(table[f"drawn_{name}"]).astype(float) for name in Drawn._fields}
        for place, line in enumerate(table.drop_columns([f"drawn_{name}" for name in Drawn._fields]).to_pylist()):
            key = line["family"], line["parameters"], line["model"], line["noise_layer"], line["alpha"]
            one = found.setdefault(key, Resampled(key[2], key[0], key[1], key[3], key[4], {}, {}))
            one.kinds[line["domain"]] = line["kind"]
            counts = (np.concatenate([[line[name]], drawn[name][place]]) for name in Drawn._fields)
            one.domains.setdefault(line["domain"], Drawn(*counts))
    return [found[key] for key in sorted(found)]


def together(parts: Sequence[Drawn]) -> Drawn:
    """Several domains as one."""
    return Drawn(*(np.sum(counts, axis=0) for counts in zip(*parts, strict=True)))


def resampled(outcomes: Outcomes, options: Mapping[str, Any]) -> Resampled:
    """Every domain's counts of one model, as seen and under resamples."""
    frame, score = outcomes.frame, outcomes.hits / outcomes.steps
    classes = [np.ones(len(score)), score >= options["memorized"], score <= options["unmemorized"]]
    counted = np.column_stack(classes).astype(float)
    found = {}
    for domain, part in frame.starts.items():
        bags = bags_of(frame, np.arange(part.start, part.stop), options)
        found[domain] = Drawn(*bags.totals(bags.sums(counted)).T)
    about = (outcomes.model, outcomes.family, outcomes.parameters, outcomes.noise_layer, outcomes.alpha)
    return Resampled(*about, frame.kinds, found)


def replicate_lines(drawn_of: Resampled) -> Iterator[Line]:
    """The same as lines of the table."""
    about = drawn_of._asdict()
    for domain, drawn in drawn_of.domains.items():
        line = {name: about[name] for name in ("model", "family", "parameters", "noise_layer", "alpha")}
        line |= {"domain": domain, "kind": drawn_of.kinds[domain]}
        for name, values in drawn._asdict().items():
            line |= {name: int(values[0]), f"drawn_{name}": values[1:].astype(np.float32)}
        yield line
