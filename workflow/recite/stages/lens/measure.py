"""Layer decoding (logit lens): what the model would say of each continuation token if it ended after a layer.

logits_l = unembedding(final norm(h_l)), with h_l the output of layer l; for the last layer these are the model's own.
The model is fed the true continuation (teacher forcing), so that every layer is asked the same at every position.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.finite import at_rows, naming, refuse_non_finite
from recite.engine.memory import halving
from recite.engine.passes import CHUNK, check_length, whole_rows
from recite.engine.residuals import batches, prompts, run
from recite.engine.rows import Rows, read_rows
from recite.errors import ReciteError
from recite.progress import Done, Progress, unseen
from recite.stages.lens.rows import AMOUNTS, COUNTS, DECODED, DECODED_POSITIONS
from recite.stages.scoring.rows import SCORES
from recite.tables.lists import as_lists


class Decoded(NamedTuple):
    """What each layer says at each continuation position; all (rows, layers, steps).

    log_probability: of the true token, nats, float32. rank: 1 + the tokens whose logit is higher, int64. entropy: of
    the distribution, nats, float32. choice: the best token, int64.
    """

    log_probability: Tensor
    rank: Tensor
    entropy: Tensor
    choice: Tensor


class Sums(NamedTuple):
    """The decoded rows of a part, summed up.

    means: amount -> mean over a row's positions, (rows, layers) float32. counts: outcome -> positions of a row with
    it, (rows, layers) uint8. by_position: amount or outcome -> its sum over each group's rows, (groups, layers, steps).
    """

    means: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
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
    metadata = {
        "options": dict(options),
        "layers": len(loaded.layers),
        "batch_rows": batch_rows,
        "continuation_tokens": steps,
        "teacher_forced": True,
        "parameters": loaded.parameters,
        "weights_sha256": loaded.weights_sha256,
        "device": loaded.device,
        "dtype": loaded.dtype,
    }
    columns = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains}
    columns |= {name: as_lists(values) for name, values in (found.means | found.counts).items()}
    DECODED.write(lens, columns, metadata)
    DECODED_POSITIONS.write(positions, position_columns(found, groups, members), metadata)


def groups_of(scores: Path, rows: Rows) -> tuple[list[tuple[str, int]], np.ndarray]:
    """Domain and hits of each group of rows, and each row's group; ReciteError where the scores are of other rows."""
    scored = SCORES.read(scores, ["row_id", "sequence_id", "hits"])
    if scored["row_id"].to_pylist() != rows.ids or scored["sequence_id"].to_pylist() != rows.sequences:
        raise ReciteError(f"{scores} scores other rows than its samples hold; delete it and run again.")
    names = list(zip(rows.domains, scored["hits"].to_pylist(), strict=True))
    groups = sorted(set(names))
    places = {name: place for place, name in enumerate(groups)}
    return groups, np.array([places[name] for name in names])


@torch.inference_mode()
def decode(
    checkpoint: Checkpoint, text: Tensor, steps: int, batch_rows: int, done: Done = unseen
) -> Iterator[tuple[slice, Decoded]]:
    """Decode `batch_rows` rows at a time: which rows, and what the layers say of their last `steps` tokens.

    `text` (rows, prompt + steps) are int64 token ids, of which all but the last are fed, on a CPU fewer rows at a time
    (see `whole_rows`); `done` is told the rows of every pass. Raises NotFiniteError where a layer's logits are not
    finite.
    """
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    for rows, chosen in batches(len(text), whole_rows(checkpoint, batch_rows, fed)):
        layers: list[Decoded] = []
        true = text[chosen, -steps:]

        def see(_: int, hidden: Tensor, layers: list[Decoded] = layers, true: Tensor = true) -> None:
            layers.append(read_off(checkpoint, hidden[:, -steps:], true))

        with at_rows(chosen):
            run(checkpoint, text[chosen, :-1], see)
        kept = rows.stop - rows.start
        done(kept)
        yield rows, Decoded(*(torch.stack(parts, dim=1)[:kept] for parts in zip(*layers, strict=True)))


def read_off(checkpoint: Checkpoint, hidden: Tensor, true: Tensor) -> Decoded:
    """What a layer whose output is `hidden` (rows, steps, width) says of the tokens `true` (rows, steps)."""
    parts = []
    for start in range(0, true.shape[1], CHUNK):
        logits = logits_of(checkpoint, hidden[:, start : start + CHUNK]).float()
        wanted = true[:, start : start + CHUNK, None].to(logits.device)
        rank = 1 + (logits > logits.gather(-1, wanted)).sum(dim=-1)
        choice = logits.argmax(dim=-1)
        logs = logits.log_softmax(dim=-1)
        # Of one logit that is not finite the entropy is none either.
        entropy = -(logs.exp() * logs).sum(dim=-1).cpu()
        refuse_non_finite(entropy, "logits", checkpoint.dtype)
        parts.append([logs.gather(-1, wanted).squeeze(-1).cpu(), rank.cpu(), entropy, choice.cpu()])
    return Decoded(*(torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True)))


def logits_of(checkpoint: Checkpoint, hidden: Tensor) -> Tensor:
    """The unembedding of the final norm of a residual stream, (..., width) to (..., vocabulary)."""
    unembedding = checkpoint.model.get_submodule(checkpoint.architecture.unembedding)
    return checkpoint.logits(unembedding(checkpoint.final(hidden)))


def summed(decoded: Iterator[tuple[slice, Decoded]], true: Tensor, members: np.ndarray, groups: int) -> Sums:
    """Sum up decoded rows over their positions, and over the rows of each group (`members`, (rows,))."""
    means: dict[str, list[np.ndarray]] = {name: [] for name in AMOUNTS}
    counts: dict[str, list[np.ndarray]] = {name: [] for name in COUNTS}
    by_position: dict[str, np.ndarray] = {}
    for rows, part in decoded:
        for name, values in (amounts_of(part) | outcomes_of(part, true[rows])).items():
            if name in AMOUNTS:
                means[name].append(values.mean(axis=2).astype(np.float32))
            else:
                counts[name].append(values.sum(axis=2, dtype=np.uint8))
            total = by_position.setdefault(name, np.zeros((groups, *values.shape[1:])))
            np.add.at(total, members[rows], values)
    return Sums(
        {name: np.concatenate(parts) for name, parts in means.items()},
        {name: np.concatenate(parts) for name, parts in counts.items()},
        by_position,
    )


def amounts_of(decoded: Decoded) -> dict[str, np.ndarray]:
    """The amounts that are averaged, (rows, layers, steps) float64."""
    log_probability = decoded.log_probability.double()
    values = (log_probability.exp(), log_probability, decoded.rank.double().log(), decoded.entropy.double())
    return {name: value.numpy() for name, value in zip(AMOUNTS, values, strict=True)}


def outcomes_of(decoded: Decoded, true: Tensor) -> dict[str, np.ndarray]:
    """The outcomes that are counted, (rows, layers, steps) bool."""
    leads = decoded.choice == true[:, None]
    settled = leads.flip(1).cumprod(dim=1).flip(1).bool()
    agrees = decoded.choice == decoded.choice[:, -1:]
    return {name: value.numpy() for name, value in zip(COUNTS, (leads, settled, agrees), strict=True)}


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
