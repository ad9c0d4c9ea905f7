"""Which rows are made to forget, on which halves, and which others must not be hurt."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.corpora.planted import known_copies
from recite.files import hash64
from recite.outcomes import means
from recite.outcomes.drawing import Drawn, draw, drawn_of
from recite.outcomes.frame import HELD_OUT, PLANTED
from recite.stages.drawn import DrawnRows, read_drawn
from recite.stages.erasing.rows import MEMORIZED, OTHER


def ranks(sequence_id: int, seed: int) -> bool:
    """Whether a text is of the half by which is ranked; recall is measured on the other half.

    By the hash of the text, so that rows of equal text, in whatever domain or table, are on one side.
    """
    return hash64(seed, "half that ranks", sequence_id) % 2 == 0


def read_both(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    shards: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
) -> DrawnRows:
    """Memorized rows and others of every domain: `options["rows"]` (group -> how many of each; all if there are fewer).

    Others are unmemorized, or of no copy, whatever their score; these are never counted as memorized. `options` hold
    `kinds`, domain -> kind, too.
    """
    copies = known_copies(planted, controls) if controls else {}

    def choose(domain: str, row_ids: np.ndarray, hits: np.ndarray, steps: int) -> dict[str, Drawn]:
        unseen = np.full(len(row_ids), options["kinds"][domain] == HELD_OUT)
        if options["kinds"][domain] == PLANTED:
            unseen = np.array([copies[row_id] == 0 for row_id in row_ids.tolist()], bool)
        members = means.classes(hits, steps, options)
        groups = {MEMORIZED: members[means.MEMORIZED] & ~unseen, OTHER: members[means.UNMEMORIZED] | unseen}
        found = {}
        for group, chosen in groups.items():
            given = row_ids[chosen].tolist()
            found[group] = drawn_of(draw(given, options["rows"][group], options["seed"]), len(given))
        return found

    return read_drawn(scores, shards, options, choose=choose)
