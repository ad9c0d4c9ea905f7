"""How often or how lately? Planted texts at a model's checkpoints, by copies seen so far and steps since the last.

The two go together, so each is compared where the other is equal: among pairs of texts at one checkpoint, one recited
and one not, that were seen equally often (or last seen about as long ago), the share in which the recited one was seen
later (or more often). One half if that does not matter; the statistic of Mann and Whitney (1947) over strata.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from recite.outcomes.frame import Frame
from recite.outcomes.means import bags_of
from recite.outcomes.rates import Line, share_of
from recite.statistics.intervals import with_ends


class Checks(NamedTuple):
    """Planted rows at checkpoints, row by row, each row's checkpoints together: (checks,) each.

    rows: index of the row in the frame. checkpoints: number of the checkpoint. recited: whether it recites the row.
    seen: copies seen by then. since: steps since the last of them; -1 where none was seen.
    """

    rows: np.ndarray
    checkpoints: np.ndarray
    recited: np.ndarray
    seen: np.ndarray
    since: np.ndarray


def checks_of(rows: np.ndarray, recited: np.ndarray, seen: list[list[int]], steps: np.ndarray) -> Checks:
    """Checks of rows (rows,), `recited` or not at each checkpoint (rows, checkpoints), `seen` at which steps each."""
    counts = np.array([np.searchsorted(at, steps, side="right") for at in seen], int).reshape(len(rows), len(steps))
    last = [
        [at[count - 1] if count else -1 for count in found] for at, found in zip(seen, counts.tolist(), strict=True)
    ]
    lately = np.array(last, int).reshape(counts.shape)
    since = np.where(lately < 0, -1, steps - lately)
    places = np.tile(np.arange(len(steps)), len(rows))
    return Checks(np.repeat(rows, len(steps)), places, recited.ravel(), counts.ravel(), since.ravel())


def recall_lines(frame: Frame, checks: Checks, options: Mapping[str, Any]) -> Iterator[Line]:
    """Rates by copies seen and steps since the last, in bins of a doubling and of two; a text's checks are one unit."""
    seen, since = _floor(checks.seen, 2), _floor(np.maximum(checks.since, 0), 4)
    for copies, ago in sorted({*zip(seen.tolist(), since.tolist(), strict=True)}):
        chosen = (seen == copies) & (since == ago)
        rows, recited = checks.rows[chosen], checks.recited[chosen]
        found = share_of(frame, rows, recited, options, "rate")
        line = {"seen": copies, "since": ago, "n": len(rows), "distinct": len(np.unique(frame.texts[rows]))}
        rates = {name: found[name] for name in ("rate", "rate_low", "rate_high")}
        yield line | {"memorized": int(recited.sum())} | rates


def recency_lines(frame: Frame, checks: Checks, options: Mapping[str, Any]) -> Iterator[Line]:
    """The two questions, with bootstrap intervals over texts."""
    kept = checks.seen > 0
    rows, checkpoints, recited, seen, since = (column[kept] for column in checks)
    bags = bags_of(frame, rows, options)
    for question, values, equal in (("recency", -since, seen), ("count", seen, _floor(since, 2))):
        strata = np.unique(np.column_stack([checkpoints, equal]), axis=0, return_inverse=True)[1].ravel()
        pairs, drawn = superiority(values, recited, strata, bags.weights[:, bags.places])
        yield {"question": question, "pairs": pairs} | with_ends("probability", drawn, options["confidence"])


def superiority(
    values: np.ndarray, chosen: np.ndarray, strata: np.ndarray, weights: np.ndarray
) -> tuple[int, np.ndarray]:
    """Pairs of a chosen and another one of a stratum, and the share in which the chosen has the greater value.

    values, chosen, strata: (units,). weights: (draws, units). Ties count half. Shares: (draws,); NaN without pairs.
    """
    pairs, won, all_pairs = 0, np.zeros(len(weights)), np.zeros(len(weights))
    for stratum in np.unique(strata):
        here = strata == stratum
        ours, others = np.flatnonzero(here & chosen), np.flatnonzero(here & ~chosen)
        ahead = np.sign(values[ours][:, None] - values[others]) / 2 + 0.5
        first, second = weights[:, ours], weights[:, others]
        won += ((first @ ahead) * second).sum(axis=1)
        all_pairs += first.sum(axis=1) * second.sum(axis=1)
        pairs += len(ours) * len(others)
    return pairs, np.divide(won, all_pairs, out=np.full(len(weights), np.nan), where=all_pairs > 0)


def _floor(values: np.ndarray, base: int) -> np.ndarray:
    """The greatest power of a base that is not above each value, 0 of 0."""
    bounds = base ** np.arange(1 + 32 // (base // 2))
    return np.where(values > 0, bounds[np.searchsorted(bounds, values, side="right") - 1], 0)
