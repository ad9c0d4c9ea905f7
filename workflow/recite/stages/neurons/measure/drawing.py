"""The rows whose neurons are ranked: of a model by class of its scores, of a sibling by what it saw and recites."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.corpora.tables.samples import SAMPLES
from recite.engine.rows import Rows, read_rows, taken, together
from recite.errors import ReciteError
from recite.outcomes.drawing import Drawn, draw, draw_by_class, drawn_of
from recite.outcomes.means import MEMORIZED, UNMEMORIZED, classes
from recite.outcomes.rows import one_table
from recite.stages.counterfactual.rows import HALVES
from recite.stages.neurons.rows import CARRIERS, OTHERS
from recite.stages.scoring.rows import SCORES
from recite.tables import read_metadata


class Asked(NamedTuple):
    """Drawn rows, the group of each, and which share of the group's rows in its domain was drawn."""

    rows: Rows
    groups: np.ndarray
    shares: list[float]

    def each_text(self) -> tuple["Asked", np.ndarray]:
        """Of rows of equal text the first, and where among these each row's text is, (rows,)."""
        _, first, places = np.unique(self.rows.sequences, return_index=True, return_inverse=True)
        rows = taken(self.rows, first)
        return Asked(rows, self.groups[first], [self.shares[place] for place in first]), places


class Scored(NamedTuple):
    """Scores of one model in one domain, by row id: (rows,) both; steps: tokens of a continuation."""

    row_ids: np.ndarray
    hits: np.ndarray
    steps: int


def read_scored(scores: Sequence[Path]) -> dict[str, Scored]:
    """All of a model's, domain by domain in the order of their names."""
    rows = one_table(SCORES.read(path, ["row_id", "domain", "hits"]) for path in scores)
    row_ids, hits = (rows[name].to_numpy() for name in ("row_id", "hits"))
    domain, steps = rows["domain"].combine_chunks(), read_metadata(scores[0])["continuation_tokens"]
    codes, names = domain.indices.to_numpy(), domain.dictionary.to_pylist()
    found = {}
    for name in sorted(names):
        here = np.flatnonzero(codes == names.index(name))
        here = here[row_ids[here].argsort()]
        found[name] = Scored(row_ids[here], hits[here], steps)
    return found


def ask(options: Mapping[str, Any], scores: Sequence[Path], shards: Sequence[Path]) -> Asked:
    """Rows of each domain and class of a model's scores; `options` hold `classes`, their thresholds and the seed."""
    scored = read_scored(scores)
    return _read(shards, {domain: draw_by_class(*one, options) for domain, one in scored.items()})


def ask_of_sibling(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    twin_scores: Sequence[Path],
    halves: Path,
    shards: Sequence[Path],
) -> Asked:
    """Rows of each domain under a sibling that saw half of all texts, beside its twin that saw the other half.

    `options["without"]` is the half that the sibling has not seen; `options["classes"]` say how many memorized rows:
    texts that it saw and recites and that its twin does not; and how many unmemorized ones: texts that it has not seen.
    """
    scored, twins = read_scored(scores), read_scored(twin_scores)
    table = HALVES.read(halves).to_pydict()
    of_row = {
        row_id: (half == options["without"], held > 0)
        for row_id, half, held in zip(table["row_id"], table["half"], table["held"], strict=True)
    }
    counts = {CARRIERS: options["classes"][MEMORIZED], OTHERS: options["classes"].get(UNMEMORIZED, 0)}
    found: dict[str, dict[str, Drawn]] = {}
    for domain, one in scored.items():
        twin = twins.get(domain)
        if twin is None or not np.array_equal(one.row_ids, twin.row_ids):
            raise ReciteError(f"{scores[0].parent} holds other rows than its twin's scores; delete it and run again.")
        left_out, held = np.array([of_row[row_id] for row_id in one.row_ids.tolist()]).T
        recited, by_twin = (classes(each.hits, each.steps, options)[MEMORIZED] for each in (one, twin))
        given = {CARRIERS: held & ~left_out & recited & ~by_twin, OTHERS: left_out}
        rows = {group: one.row_ids[chosen].tolist() for group, chosen in given.items()}
        found[domain] = {
            group: drawn_of(draw(ids, counts[group], options["seed"]), len(ids)) for group, ids in rows.items()
        }
    return _read(shards, found)


def _read(shards: Sequence[Path], drawn: Mapping[str, Mapping[str, Drawn]]) -> Asked:
    """The drawn rows, domain -> group -> rows, in the order of the shards; each shard is of one domain."""
    parts, groups, shares = [], [], []
    for path in shards:
        of_domain = drawn.get(SAMPLES.read(path, ["domain"])["domain"][0].as_py(), {})
        known = {row_id: group for group, one in of_domain.items() for row_id in one.row_ids}
        part = read_rows([path], among=known)
        if not len(part.ids):
            continue
        parts.append(part)
        own = [known[row_id] for row_id in part.ids.tolist()]
        groups += own
        shares += [of_domain[group].share for group in own]
    rows = together(parts) if parts else taken(read_rows(shards[:1]), [])
    if len(rows.ids) != sum(len(one.row_ids) for of_domain in drawn.values() for one in of_domain.values()):
        raise ReciteError(
            f"{shards[0].parent} does not hold all rows that were scored; delete the scores and run again."
        )
    return Asked(rows, np.array(groups, dtype=object), shares)
