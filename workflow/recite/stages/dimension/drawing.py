"""Which texts are points: of each class the contexts with the smallest hashes, as many of one class as of the other."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from recite.files import hash64
from recite.outcomes.means import ALL, MEMORIZED, UNMEMORIZED, classes
from recite.stages.dimension.rows import UNSEEN

Group = tuple[str, str]
"""(natural, planted or unseen; class)."""
PAIR = (MEMORIZED, UNMEMORIZED)
FEWEST = 4
"""Points that a class needs for each neighbour that is taken: half of them still have twice as many others."""


class Text(NamedTuple):
    """A text that may be drawn: the hash of its context, by which it is, and its row."""

    key: int
    row_id: int
    sequence_id: int
    domain: str
    tokens: tuple[int, ...]


class Part(NamedTuple):
    """Scored rows of a shard: ids, (rows,) each, domains, hits, context and continuation, (rows, tokens)."""

    row_ids: Sequence[int]
    sequences: Sequence[int]
    domains: Sequence[str]
    hits: np.ndarray
    context: np.ndarray
    continuation: np.ndarray


def points_of(
    parts: Iterable[Part], kinds: Mapping[str, str], copies: Mapping[int, int], options: Mapping[str, Any]
) -> dict[Group, list[Text]]:
    """Group -> its points, of those groups that have enough.

    `kinds` say what each domain's rows are: natural, planted or unseen; `copies` are those of planted rows, 0 of what
    no model was trained on. `options` hold `points`, `neighbours`, the thresholds of the classes and the seed. Of
    rows of one context and group the one of the smallest id stands for all: they would be one point. Of memorized and
    unmemorized rows as many are drawn, as an estimate's bias hangs on their number.
    """
    found: dict[Group, dict[tuple[int, ...], Text]] = {}
    for part in parts:
        for group, places in groups_of(part, kinds, copies, options).items():
            texts = found.setdefault(group, {})
            for place in places:
                context = tuple(part.context[place].tolist())
                known = texts.get(context)
                if known is None or part.row_ids[place] < known.row_id:
                    key = known.key if known else hash64(options["seed"], "point", *context)
                    tokens = (*context, *part.continuation[place].tolist())
                    texts[context] = Text(key, part.row_ids[place], part.sequences[place], part.domains[place], tokens)
            kept = sorted(texts.items(), key=lambda item: item[1])[: options["points"]]
            found[group] = dict(kept)
    least = FEWEST * options["neighbours"]
    enough = {group: list(texts.values()) for group, texts in sorted(found.items()) if len(texts) >= least}
    return {(kind, name): texts[: fewest(enough, kind, name)] for (kind, name), texts in enough.items()}


def fewest(groups: Mapping[Group, Sequence[Text]], kind: str, name: str) -> int:
    """How many texts of a group are drawn: of a pair as many as the smaller one has."""
    both = PAIR if name in PAIR else (name,)
    return min(len(groups[kind, one]) for one in both if (kind, one) in groups)


def groups_of(
    part: Part, kinds: Mapping[str, str], copies: Mapping[int, int], options: Mapping[str, Any]
) -> dict[Group, np.ndarray]:
    """Group -> the places of its rows in a shard."""
    steps = part.continuation.shape[1]
    members = classes(part.hits, steps, options)
    of_kind = np.array([kinds[domain] for domain in part.domains], dtype=object)
    unseen = (of_kind == UNSEEN) | np.array([copies.get(row_id) == 0 for row_id in part.row_ids], bool)
    found = {(UNSEEN, ALL): np.flatnonzero(unseen)}
    for kind in set(of_kind.tolist()) - {UNSEEN}:
        found |= {(kind, name): np.flatnonzero((of_kind == kind) & members[name]) for name in PAIR}
    return found
