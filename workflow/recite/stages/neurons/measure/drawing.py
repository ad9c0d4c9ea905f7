"""The rows whose neurons are ranked: of a model by class of its scores, of a sibling by what it saw and recites."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

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
        _, first, places = np.unique(np.array(self.rows.sequences, np.uint64), return_index=True, return_inverse=True)
        rows = taken(self.rows, first.tolist())
        return Asked(rows, self.groups[first], [self.shares[place] for place in first]), places


class Scored(NamedTuple):
    """Scores of one model. row_ids, hits: (rows,), domains: (rows,) names; steps: tokens of a continuation."""

    row_ids: np.ndarray
    domains: np.ndarray
    hits: np.ndarray
    steps: int


def read_scored(scores: Sequence[Path]) -> Scored:
    """All of a model's, by domain and row id."""
    rows = one_table(SCORES.read(path, ["row_id", "domain", "hits"]) for path in scores)
    row_ids, hits = (rows[name].to_numpy() for name in ("row_id", "hits"))
    domains = np.array(rows["domain"].to_pylist(), dtype=object)
    order = np.lexsort((row_ids, domains.astype(str)))
    return Scored(row_ids[order], domains[order], hits[order], read_metadata(scores[0])["continuation_tokens"])


def ask(options: Mapping[str, Any], scores: Sequence[Path], shards: Sequence[Path]) -> Asked:
    """Rows of each domain and class of a model's scores; `options` hold `classes`, their thresholds and the seed."""
    scored, found = read_scored(scores), {}
    for domain in dict.fromkeys(scored.domains.tolist()):
        here = scored.domains == domain
        found[domain] = draw_by_class(scored.row_ids[here], scored.hits[here], scored.steps, options)
    return _read(shards, found)


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
    scored, twin = read_scored(scores), read_scored(twin_scores)
    if not np.array_equal(scored.row_ids, twin.row_ids):
        raise ReciteError(f"{scores[0].parent} holds other rows than its twin's scores; delete it and run again.")
    table = HALVES.read(halves).to_pydict()
    seen_of = {
        row_id: half != options["without"] and held > 0
        for row_id, half, held in zip(table["row_id"], table["half"], table["held"], strict=True)
    }
    left_out = {
        row_id for row_id, half in zip(table["row_id"], table["half"], strict=True) if half == options["without"]
    }
    recited, recited_by_twin = (classes(one.hits, one.steps, options)[MEMORIZED] for one in (scored, twin))
    ids = scored.row_ids.tolist()
    members = {
        CARRIERS: np.array([seen_of[row_id] for row_id in ids]) & recited & ~recited_by_twin,
        OTHERS: np.array([row_id in left_out for row_id in ids]),
    }
    counts = {CARRIERS: options["classes"][MEMORIZED], OTHERS: options["classes"].get(UNMEMORIZED, 0)}
    found: dict[str, dict[str, Drawn]] = {}
    for domain in dict.fromkeys(scored.domains.tolist()):
        here = scored.domains == domain
        given = {group: scored.row_ids[here & chosen].tolist() for group, chosen in members.items()}
        found[domain] = {
            group: drawn_of(draw(rows, counts[group], options["seed"]), len(rows)) for group, rows in given.items()
        }
    return _read(shards, found)


def _read(shards: Sequence[Path], drawn: Mapping[str, Mapping[str, Drawn]]) -> Asked:
    """The drawn rows, domain -> group -> rows, in the order of the shards; each shard is of one domain."""
    parts, groups, shares = [], [], []
    for path in shards:
        shard = read_rows([path])
        of_domain = drawn[shard.domains[0]]
        known = {row_id: group for group, one in of_domain.items() for row_id in one.row_ids}
        places = [place for place, row_id in enumerate(shard.ids) if row_id in known]
        parts.append(taken(shard, places))
        own = [known[shard.ids[place]] for place in places]
        groups += own
        shares += [of_domain[group].share for group in own]
    rows = together(parts)
    if len(rows.ids) != sum(len(one.row_ids) for of_domain in drawn.values() for one in of_domain.values()):
        raise ReciteError(
            f"{shards[0].parent} does not hold all rows that were scored; delete the scores and run again."
        )
    return Asked(rows, np.array(groups, dtype=object), shares)
