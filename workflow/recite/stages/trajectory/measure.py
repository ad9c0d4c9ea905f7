"""What became of each row along a training: the scores of a model's checkpoints, side by side (arXiv 2506.12321).

The last checkpoint is the model itself, and its scores are those of the stage scoring.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.checkpoints.training import kept_steps
from recite.corpora.windows import read_windows
from recite.errors import ReciteError
from recite.files import read_json
from recite.outcomes.rows import one_table
from recite.stages.scoring.rows import SCORES
from recite.stages.trajectory.exposures import exposures
from recite.stages.trajectory.rows import FOLLOWED
from recite.tables import read_metadata
from recite.tables.lists import as_lists

NAMES = ("row_id", "sequence_id", "domain", "inclusion_probability")


class Fates(NamedTuple):
    """Columns of the table, (rows,)."""

    learnt: np.ndarray
    kept: np.ndarray
    forgotten: np.ndarray
    relearnt: np.ndarray


def follow_rows(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    earlier: Sequence[Path],
    followed: Path,
    record: Path | None,
    rows: Path | None,
    shards: Sequence[Path] | None,
) -> None:
    """Write what became of every row of a model at its checkpoints.

    `scores` are the model's own, `earlier` those of its checkpoints on the way, whose options name their `step`.
    `options` hold the model and its family, the score `memorized` from which a row is recited, and of a registered
    model its `steps` and last `step`. `record`, `rows` and `shards` are those of a training that was done here.
    ReciteError where checkpoints were scored on different rows.
    """
    made = read_json(record) if record else {}
    steps = steps_of(options, made)
    table = one_table(SCORES.read(path, [*NAMES, "hits"]) for path in scores)
    hits = np.column_stack([*_earlier_hits(table, earlier, list(steps)[:-1]), table["hits"].to_numpy()])
    about = read_metadata(scores[0])
    recited = hits / about["continuation_tokens"] >= options["memorized"]
    seen: dict[int, list[int]] = {}
    if rows and shards:
        seen = exposures(read_windows(shards), rows, made["options"]["recipe"], made["order_blake2b"])
    columns = {name: table[name] for name in NAMES} | {"hits": as_lists(hits)}
    columns |= fates(recited, np.array(list(steps.values())))._asdict()
    columns["seen"] = [seen.get(row_id, []) for row_id in table["row_id"].to_pylist()]
    kept = {name: about[name] for name in ("continuation_tokens", "parameters", "weights_sha256")}
    FOLLOWED.write(followed, columns, {"options": dict(options), "steps": list(steps.values()), **kept})


def steps_of(options: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, int]:
    """Name of each checkpoint, "" for the last -> the training steps behind it; `record` is of a training done here.

    ReciteError where two are one.
    """
    if not record:
        return {step: int(step) for step in options["steps"]} | {"": options["step"]}
    steps = kept_steps(record["options"]["shares"], record["steps"]) | {"": record["steps"]}
    if len(set(steps.values())) < len(steps):
        raise ReciteError(
            f"model {options['model']} was trained in {record['steps']} steps, too few to tell the shares of "
            "training.steps apart; name fewer shares, further from each other."
        )
    return steps


def fates(recited: np.ndarray, steps: np.ndarray) -> Fates:
    """What became of rows, `recited` or not at each checkpoint (rows, checkpoints), of `steps` (checkpoints,)."""
    ever, first = recited.any(axis=1), recited.argmax(axis=1)
    before, after = recited[:, :-1], recited[:, 1:]
    to_come = np.arange(len(steps)) < first[:, None]
    begun = (after & ~before).sum(axis=1)
    return Fates(
        np.where(ever, steps[first], 0),
        ever & (recited | to_come).all(axis=1),
        (before & ~after).sum(axis=1),
        begun - (ever & ~recited[:, 0]),
    )


def _earlier_hits(table: pa.Table, earlier: Sequence[Path], steps: Sequence[str]) -> list[np.ndarray]:
    """Hits of each checkpoint on the way, (rows,) in the order of the last one's `table`."""
    files: dict[str, list[Path]] = {step: [] for step in steps}
    for path in earlier:
        files[read_metadata(path)["options"]["step"]].append(path)
    found = []
    for step, paths in files.items():
        part = one_table(SCORES.read(path, ["row_id", "hits"]) for path in paths)
        if not part["row_id"].equals(table["row_id"]):
            raise ReciteError(f"{paths[0].parent} (step {step}) holds other rows than the model's scores; delete it.")
        found.append(part["hits"].to_numpy())
    return found
