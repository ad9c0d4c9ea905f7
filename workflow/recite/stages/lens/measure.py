"""Layer decoding (logit lens): what the model would say of each continuation token if it ended after a layer.

logits_l = unembedding(final norm(h_l)), with h_l the output of layer l; for the last layer these are the model's own.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from recite.checkpoints.loading import load_checkpoint
from recite.engine.decoding import Decoded, decode
from recite.engine.finite import naming
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.residuals import prompts
from recite.engine.rows import Rows, read_rows, same_rows
from recite.errors import ReciteError
from recite.progress import Progress
from recite.stages.lens.rows import AMOUNTS, COUNTS, DECODED, DECODED_POSITIONS
from recite.stages.scoring.rows import SCORES
from recite.tables.lists import as_lists


class Sums(NamedTuple):
    """The decoded rows of a part, summed up.

    by_row: amount -> mean over a row's positions, outcome -> how many of them have it, (rows, layers). by_position:
    amount or outcome -> its sum over each group's rows, (groups, layers, steps).
    """

    by_row: dict[str, np.ndarray]
    by_position: dict[str, np.ndarray]


def decode_layers(
    options: Mapping[str, Any],
    scores: Path,
    shards: Sequence[Path],
    checkpoint: Path,
    lens: Path,
    positions: Path,
    threads: int,
) -> None:
    """Decode every layer of one model on one part of its sample; write a line a row, and sums by position.

    `scores` are those of the same part: rows are summed up by domain and number of hits, from which the aggregation
    makes classes, so that its thresholds decide nothing here.
    """
    torch.set_num_threads(threads)
    rows = read_rows(shards)
    groups, members = groups_of(scores, rows)
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    text = torch.cat([prompts(rows, options["bos"]), rows.continuation], dim=1)
    steps = rows.continuation.shape[1]
    print(f"{options['model']}: {len(text)} rows of {len(loaded.layers)} layers on {loaded.device}", flush=True)

    def call(size: int) -> Sums:
        return summed(decode(loaded, text, steps, size, Progress(len(text))), rows.continuation, members, len(groups))

    with naming(options["model"], rows.ids):
        found, batch_rows = halving(call, options["batch_rows"])
    metadata = made(
        options, loaded, batch_rows, layers=len(loaded.layers), continuation_tokens=steps, teacher_forced=True
    )
    columns = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains}
    columns |= {name: as_lists(values) for name, values in found.by_row.items()}
    DECODED.write(lens, columns, metadata)
    DECODED_POSITIONS.write(positions, position_columns(found, groups, members), metadata)


def groups_of(scores: Path, rows: Rows) -> tuple[list[tuple[str, int]], np.ndarray]:
    """Domain and hits of each group of rows, and each row's group; ReciteError where the scores are of other rows."""
    scored = SCORES.read(scores, ["row_id", "sequence_id", "hits"])
    if not same_rows(scored, rows):
        raise ReciteError(f"{scores} scores other rows than its samples hold; delete it and run again.")
    names = list(zip(rows.domains, scored["hits"].to_pylist(), strict=True))
    groups = sorted(set(names))
    places = {name: place for place, name in enumerate(groups)}
    return groups, np.array([places[name] for name in names])


def summed(decoded: Iterator[tuple[slice, Decoded]], true: Tensor, members: np.ndarray, groups: int) -> Sums:
    """Sum up decoded rows over their positions, and over the rows of each group (`members`, (rows,))."""
    by_row: dict[str, list[np.ndarray]] = {name: [] for name in (*AMOUNTS, *COUNTS)}
    by_position: dict[str, np.ndarray] = {}
    for rows, part in decoded:
        for name, values in part.by_row(true[rows]).items():
            by_row[name].append(values)
        for name, values in (part.amounts() | part.outcomes(true[rows])).items():
            total = by_position.setdefault(name, np.zeros((groups, *values.shape[1:])))
            np.add.at(total, members[rows], values)
    return Sums({name: np.concatenate(parts) for name, parts in by_row.items()}, by_position)


def position_columns(found: Sums, groups: Sequence[tuple[str, int]], members: np.ndarray) -> dict[str, Any]:
    """Columns of the table of sums by position: a line for each group and layer."""
    layers = next(iter(found.by_position.values())).shape[1]
    sizes = np.bincount(members, minlength=len(groups))
    columns = {
        "domain": [domain for domain, _ in groups for _ in range(layers)],
        "hits": [hits for _, hits in groups for _ in range(layers)],
        "layer": list(range(layers)) * len(groups),
        "n": pa.array(np.repeat(sizes, layers)),
    }
    return columns | {name: as_lists(values.reshape(-1, values.shape[2])) for name, values in found.by_position.items()}
