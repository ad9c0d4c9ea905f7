"""Nearest neighbours in the residual stream: of every drawn text at two places, after every layer, among its group.

A text is one point, the residual stream at one of its positions, where the model is fed the true continuation (teacher
forcing).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.corpora.planted import known_copies
from recite.corpora.tables.samples import SAMPLES
from recite.engine.finite import at_rows, naming, refuse_non_finite
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.passes import check_length, whole_rows
from recite.engine.residuals import batches, run
from recite.errors import ReciteError
from recite.outcomes.frame import HELD_OUT, NATURAL, PLANTED, is_natural
from recite.outcomes.rows import one_table
from recite.progress import Done, Progress, unseen
from recite.stages.dimension.drawing import Part, Text, points_of
from recite.stages.dimension.rows import NEIGHBOURS, PLACES, UNSEEN
from recite.stages.scoring.rows import SCORES
from recite.tables.lists import as_array

STORED = 8
"""Neighbours that are kept for each that is taken: among half of the points too, the nearest are among these."""


class Nearest(NamedTuple):
    """The nearest other points of each point, the nearest first, all (points, places, layers, neighbours).

    place: which points they are, uint32. distance: Euclidean, float32.
    """

    place: np.ndarray
    distance: np.ndarray


def measure_neighbours(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    shards: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    checkpoint: Path,
    neighbours: Path,
    threads: int,
) -> None:
    """Draw points of every class of one model's rows, and write the nearest neighbours of each in its group.

    `options` are those of scoring with kinds (domain -> kind), points, neighbours, seed and the thresholds of the
    classes. `scores` and `shards` hold all rows of the model, `planted` those of planted domains with their `controls`.
    One shard's rows, and then one group's residual streams, are in memory at a time.
    """
    torch.set_num_threads(threads)
    copies = known_copies(planted, controls) if controls else {}
    kinds = {domain: _kind(kind) for domain, kind in options["kinds"].items()}
    groups = points_of(scored_parts(scores, shards), kinds, copies, options)
    steps = len(SAMPLES.read(shards[0], ["continuation"])["continuation"][0])
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    named = {", ".join(group): len(texts) for group, texts in groups.items()}
    print(f"{options['model']}: points {named} on {loaded.device}", flush=True)
    lines: dict[str, list[Any]] = {column.name: [] for column in NEIGHBOURS.columns}
    done, batch_rows = Progress(sum(map(len, groups.values()))), options["batch_rows"]
    for (rows, group), texts in groups.items():
        tokens = tokens_of(texts, options["bos"])

        def call(size: int, tokens: Tensor = tokens) -> Tensor:
            return streams(loaded, tokens, steps, size, done)

        with naming(options["model"], [text.row_id for text in texts]):
            found, batch_rows = halving(call, batch_rows)
        near = nearest(found, min(len(texts) - 1, STORED * options["neighbours"]), loaded.model.device)
        add(lines, rows, group, texts, near)
    metadata = made(
        options,
        loaded,
        batch_rows,
        layers=len(loaded.layers),
        places=list(PLACES),
        continuation_tokens=steps,
        teacher_forced=True,
        width=loaded.model.config.hidden_size,
    )
    NEIGHBOURS.write(neighbours, lines, metadata)


def _kind(kind: str) -> str:
    """What rows of a domain of that kind are called."""
    return NATURAL if is_natural(kind) else {PLANTED: PLANTED, HELD_OUT: UNSEEN}[kind]


def scored_parts(scores: Sequence[Path], shards: Sequence[Path]) -> Iterator[Part]:
    """The rows of each shard with their hits; ReciteError for a row that is not scored."""
    scored = one_table(SCORES.read(path, ["row_id", "hits"]) for path in scores)
    ids, hits = (scored[name].to_numpy() for name in ("row_id", "hits"))
    order = np.argsort(ids)
    for path in shards:
        table = SAMPLES.read(path, ["row_id", "sequence_id", "domain", "context", "continuation"])
        rows = table["row_id"].to_numpy()
        places = order[np.minimum(np.searchsorted(ids[order], rows), len(ids) - 1)]
        if not np.array_equal(ids[places], rows):
            raise ReciteError(f"{scores[0].parent} scores other rows than {path} holds; delete it and run again.")
        sequences, domains = (table[name].to_pylist() for name in ("sequence_id", "domain"))
        tokens = (as_array(table[name]) for name in ("context", "continuation"))
        yield Part(rows.tolist(), sequences, domains, hits[places], *tokens)


def tokens_of(texts: Sequence[Text], bos: int | None) -> Tensor:
    """Whole texts, (rows, tokens) int64, behind `bos` if any."""
    tokens = torch.tensor([text.tokens for text in texts])
    return tokens if bos is None else torch.cat([torch.full_like(tokens[:, :1], bos), tokens], dim=1)


@torch.inference_mode()
def streams(checkpoint: Checkpoint, text: Tensor, steps: int, batch_rows: int, done: Done = unseen) -> Tensor:
    """The residual stream of each row at PLACES after every layer: (rows, places, layers, width), on the CPU.

    `text` (rows, prompt + steps) are int64 token ids, of which all but the last are fed, `batch_rows` rows a pass (see
    `whole_rows`). Raises NotFiniteError where a stream is not finite.
    """
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    parts = []
    for rows, chosen in batches(len(text), whole_rows(checkpoint, batch_rows, fed)):
        layers: list[Tensor] = []

        def see(_: int, hidden: Tensor, layers: list[Tensor] = layers) -> None:
            layers.append(hidden[:, [fed - steps, fed - 1]].cpu())

        run(checkpoint, text[chosen, :-1], see)
        found = torch.stack(layers, dim=2)
        with at_rows(chosen):
            refuse_non_finite(found, "residual streams", checkpoint.dtype)
        parts.append(found[: rows.stop - rows.start])
    done(len(text))
    return torch.cat(parts)


@torch.inference_mode()
def nearest(points: Tensor, count: int, device: torch.device) -> Nearest:
    """The `count` nearest others of each point, from (points, places, layers, width): distances in float64."""
    places, layers = points.shape[1:3]
    shape = (len(points), places, layers, count)
    found = Nearest(np.empty(shape, np.uint32), np.empty(shape, np.float32))
    for place, layer in np.ndindex(places, layers):
        cloud = points[:, place, layer].to(device).double()
        # By differences: a product of matrices would lose the small distances of points that lie far out.
        apart = torch.cdist(cloud, cloud, compute_mode="donot_use_mm_for_euclid_dist")
        apart.fill_diagonal_(torch.inf)
        distance, others = apart.sort(dim=1, stable=True)
        found.place[:, place, layer] = others[:, :count].cpu().numpy()
        found.distance[:, place, layer] = distance[:, :count].cpu().numpy()
    return found


def add(lines: dict[str, list[Any]], rows: str, group: str, texts: Sequence[Text], near: Nearest) -> None:
    """Add a group's points to the columns of the table."""
    lines["row_id"] += [text.row_id for text in texts]
    lines["sequence_id"] += [text.sequence_id for text in texts]
    lines["domain"] += [text.domain for text in texts]
    lines["rows"] += [rows] * len(texts)
    lines["group"] += [group] * len(texts)
    lines["point"] += range(len(texts))
    lines["nearest"] += [*near.place.reshape(len(texts), -1)]
    lines["distance"] += [*near.distance.reshape(len(texts), -1)]
