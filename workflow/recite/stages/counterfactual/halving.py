"""The training rows in two halves, so that no sampled text stands in both."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from recite.checkpoints.training import read_rows
from recite.corpora.tables.training import TRAINING_ROWS
from recite.corpora.windows import Window, read_windows, rows_that_hold
from recite.files import hash64, sha256_file
from recite.stages.counterfactual.rows import HALVES


def halve(
    options: Mapping[str, Any], rows: Path, shards: Sequence[Path], halves: Path, without_a: Path, without_b: Path
) -> None:
    """Write the training `rows` of each half, without those of the other, and the half of every row of `shards`.

    `options` hold the `seed`.
    """
    tokens = read_rows(rows).numpy()
    windows = read_windows(shards)
    holding = rows_that_hold(windows.values(), tokens)
    of_rows, of_windows = halves_of(options["seed"], tokens, holding)
    chosen = {row_id: of_windows.get(window) or half_of(options["seed"], window) for row_id, window in windows.items()}
    columns = {
        "row_id": list(chosen),
        "half": list(chosen.values()),
        "held": [len(holding.get(window, ())) for window in windows.values()],
    }
    HALVES.write(halves, columns, {"options": dict(options)})
    table = TRAINING_ROWS.read(rows)
    for half, path in (("a", without_a), ("b", without_b)):
        left = table.filter(of_rows != half)
        print(f"{left.num_rows} of {table.num_rows} training rows are not of half {half}")
        about = {"options": dict(options), "without": half, "rows_sha256": sha256_file(rows)}
        TRAINING_ROWS.write(path, left, about)


def halves_of(
    seed: int, tokens: np.ndarray, holding: Mapping[Window, Sequence[int]]
) -> tuple[np.ndarray, dict[Window, str]]:
    """The half of each training row, `tokens` (rows, length), and of each window that rows hold, by `holding`.

    Equal rows, and rows that hold a window in common, are of one half, and so are all that such rows tie together. The
    smallest hash among them decides, whatever their order.
    """
    texts, places = np.unique(tokens, axis=0, return_inverse=True)
    pairs = [(len(texts) + place, places[row]) for place, rows in enumerate(holding.values()) for row in rows]
    ends = np.array(pairs, np.int64).reshape(-1, 2).T
    nodes = len(texts) + len(holding)
    _, groups = connected_components(coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(nodes, nodes)))
    hashes = np.array([hash64(seed, "half", *text) for text in [*texts.tolist(), *holding]], np.uint64)
    smallest = np.full(nodes, np.iinfo(np.uint64).max)
    np.minimum.at(smallest, groups, hashes)
    found = np.where(smallest[groups] % np.uint64(2) == 0, "a", "b")
    return found[places], dict(zip(holding, found[len(texts) :].tolist(), strict=True))


def half_of(seed: int, window: Window) -> str:
    """The half of a window that no training row holds: it is in name only, as no model sees it."""
    return "b" if hash64(seed, "half", *window) % 2 else "a"
