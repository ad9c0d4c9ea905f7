"""Token edit distance and longest common run of continuations.

A verbatim score counts equal tokens place by place: one token more or less, early on, and all the rest is lost. The
Levenshtein distance (insertions, deletions and substitutions of tokens; Levenshtein 1966) and the longest run of tokens
that both continuations hold do not hang on places.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recite.corpora.tables.samples import SAMPLES
from recite.errors import ReciteError
from recite.stages.near_verbatim.rows import NEAR
from recite.stages.noise.rows import NOISE_SCORES
from recite.stages.scoring.rows import SCORES
from recite.tables import read_metadata
from recite.tables.lists import as_array

NAMES = ("row_id", "sequence_id", "domain", "inclusion_probability")
BLOCK = 2**13


def measure_nearness(options: Mapping[str, Any], scores: Path, shards: Sequence[Path], near: Path) -> None:
    """Write how near every greedy continuation of one part of a model's scores comes to the true one.

    `options` name the model and, of scores under noise, `noise` with its layer. Raises ReciteError where scores and
    samples do not hold the same rows in the same order.
    """
    about = read_metadata(scores)
    made = (NOISE_SCORES if "alpha" in about else SCORES).read(scores, [*NAMES, "first_mismatch", "generated"])
    true = pa.concat_tables([SAMPLES.read(path, ["row_id", "continuation"]) for path in shards])
    if not made["row_id"].equals(true["row_id"]):
        raise ReciteError(f"{scores} holds other rows than its samples; delete it and run again.")
    generated, continuation = as_array(made["generated"]), as_array(true["continuation"])
    columns = {name: made[name] for name in (*NAMES, "first_mismatch")}
    columns |= {"distance": edit_distances(generated, continuation), "run": longest_runs(generated, continuation)}
    kept = ("continuation_tokens", "parameters", "weights_sha256", *(["alpha"] if "alpha" in about else []))
    NEAR.write(near, columns, {"options": dict(options), **{name: about[name] for name in kept}})


def edit_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Levenshtein distance of each row of `first` (rows, m) from that of `second` (rows, n): (rows,) int16.

    The usual table (Wagner & Fischer 1974), line by line of it, for many pairs at once.
    """
    return _by_blocks(_distances, first, second)


def longest_runs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Length of the longest run of equal tokens of each row of `first` (rows, m) and of `second` (rows, n): (rows,)."""
    return _by_blocks(_runs, first, second)


def _by_blocks(work: Callable[..., np.ndarray], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """`work` on BLOCK pairs at a time, a token of all of them in a row: what it compares stays in a CPU's caches."""
    blocks = [slice(start, start + BLOCK) for start in range(0, len(first), BLOCK)]
    parts = [work(np.ascontiguousarray(first[rows].T), np.ascontiguousarray(second[rows].T)) for rows in blocks]
    return np.concatenate([np.zeros(0, np.int16), *parts])


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(pairs,) from (m, pairs) and (n, pairs)."""
    above = np.repeat(np.arange(len(second) + 1, dtype=np.int16)[:, None], first.shape[1], axis=1)
    for place, token in enumerate(first):
        below = np.empty_like(above)
        below[0] = place + 1
        fewest = np.minimum(above[:-1] + (second != token), above[1:] + 1)
        for column in range(len(second)):
            np.minimum(fewest[column], below[column] + 1, out=below[column + 1])
        above = below
    return above[-1]


def _runs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(pairs,) from (m, pairs) and (n, pairs)."""
    ends = np.zeros((len(second) + 1, first.shape[1]), np.int16)
    longest = np.zeros(first.shape[1], np.int16)
    for token in first:
        ends[1:] = np.where(second == token, ends[:-1] + 1, 0)
        np.maximum(longest, ends.max(axis=0), out=longest)
    return longest
