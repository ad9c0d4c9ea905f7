"""What drawn rows' continuations attend to, and what they lose where that attention is cut.

The model is fed the true continuation (teacher forcing). The weights of the positions that predict it are summed by
place within the pass; then each place is cut from these positions, in all layers and heads at once, so that the rest is
renormalized (attention knockout, Geva et al. 2023, arXiv 2304.14767), and the rows are fed and continued again.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.corpora.planted import known_copies
from recite.engine.continuation import continue_greedily
from recite.engine.finite import at_rows, naming
from recite.engine.interventions.knockout import Knockout
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.passes import BLOCK_BATCHES
from recite.engine.residuals import weights_seen
from recite.engine.scores import Forced, forced
from recite.outcomes.copies import UNSEEN
from recite.outcomes.drawing import draw_samples, samples_of
from recite.outcomes.frame import HELD_OUT
from recite.progress import Done, Progress, unseen
from recite.stages.attention.places import ITSELF, even_shares, members_of, spans_of
from recite.stages.attention.rows import ATTENDED
from recite.stages.scoring.rows import SCORES
from recite.tables.lists import as_array, as_lists


class Attended(NamedTuple):
    """What rows attend to, and what is left of them without each place that is cut.

    mass: (rows, layers, heads, places) float32. clean_hits: (rows,), hits: (rows, cuts), both uint8.
    clean_log_probability: (rows,), log_probability: (rows, cuts), nats, float32.
    """

    mass: Tensor
    clean_hits: Tensor
    hits: Tensor
    clean_log_probability: Tensor
    log_probability: Tensor


def measure_attention(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    shards: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    checkpoint: Path,
    attended: Path,
    threads: int,
) -> None:
    """Write a line for every row of some domains that is drawn by its class under one model.

    `options` are those of scoring with `domains` (and their kinds), `classes` (class -> how many rows of a domain),
    their thresholds, `segments` (into how many the context is cut) and the seed. `scores` and `shards` hold all rows of
    these domains; `planted` are those of planted ones, of which `controls` knows the copies, both if any are asked for.
    """
    torch.set_num_threads(threads)
    copies = known_copies(planted, controls) if controls else {}
    columns, context, continuation = read_texts(options, scores, shards, copies)
    _, run, places = np.unique(columns["sequence_id"], return_index=True, return_inverse=True)  # equal texts once
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    text, steps = text_of(context[run], continuation[run], options["bos"]), continuation.shape[1]
    spans = spans_of(context.shape[1], steps, options["segments"], options["bos"] is not None)
    what = f"{len(context)} rows of {len(text)} texts without {len(spans)} places each"
    print(f"{options['model']}: {what} on {loaded.device}", flush=True)

    def call(size: int) -> Attended:
        done = Progress(len(text) * (1 + 2 * len(spans)), "continuations")
        return attend_to(loaded, text, steps, size, spans, done)

    with naming(options["model"], np.array(columns["row_id"])[run].tolist()):
        found, batch_rows = halving(call, options["batch_rows"])
    columns |= {name: getattr(found, name)[places].numpy() for name in ("clean_hits", "clean_log_probability")}
    lists = {name: getattr(found, name) for name in ("hits", "log_probability", "mass")}
    columns |= {name: as_lists(values[places].flatten(1).numpy()) for name, values in lists.items()}
    metadata = made(
        options,
        loaded,
        batch_rows,
        continuation_tokens=steps,
        teacher_forced=True,
        layers=len(loaded.layers),
        heads=loaded.heads,
        places=[*spans, ITSELF],
        even=even_shares(members_of(spans, text.shape[1] - steps, steps)),
    )
    ATTENDED.write(attended, columns, metadata)


def read_texts(
    options: Mapping[str, Any], scores: Sequence[Path], shards: Sequence[Path], copies: Mapping[int, int]
) -> tuple[dict[str, list[Any]], np.ndarray, np.ndarray]:
    """The drawn rows of all domains: columns that name them, contexts and continuations, (rows, tokens) each.

    `copies` are those of planted rows; of a domain of kind `held_out` every row is unseen.
    """
    columns: dict[str, list[Any]] = {}
    contexts, continuations = [], []
    for domain, rows in samples_of([*options["domains"]], shards, ("context", "continuation")):
        ids = rows["row_id"].to_pylist()
        held_out = options["domains"][domain] == HELD_OUT
        others = {UNSEEN: [row_id for row_id in ids if held_out or copies.get(row_id) == 0]}
        places, named = draw_samples(domain, scores, SCORES, rows, options, others)
        for name, values in named.items():
            columns.setdefault(name, []).extend(values)
        contexts.append(as_array(rows["context"])[places])
        continuations.append(as_array(rows["continuation"])[places])
    return columns, np.concatenate(contexts), np.concatenate(continuations)


def text_of(context: np.ndarray, continuation: np.ndarray, bos: int | None) -> Tensor:
    """Contexts with their true continuations, behind `bos` if any, (rows, length) int64."""
    first = np.full((len(context), 0 if bos is None else 1), bos or 0)
    return torch.from_numpy(np.concatenate([first, context, continuation], axis=1).astype(np.int64))


@torch.inference_mode()
def attend_to(
    checkpoint: Checkpoint,
    text: Tensor,
    steps: int,
    batch_rows: int,
    spans: Mapping[str, range],
    done: Done = unseen,
) -> Attended:
    """Of the last `steps` tokens of `text` (rows, prompt + steps) int64: what is attended to, then each place cut.

    `batch_rows` rows a pass; `done` is told of every row once, then twice for each place. Passes without a place have
    the kernels of those with all: a cut that does nothing costs nothing. Raises ReciteError for a class that computes
    attention itself, NotFiniteError as `forced` does.
    """
    context, true, cuts = text[:, :-steps], text[:, -steps:], len(spans)
    clean, mass = masses(checkpoint, text, steps, batch_rows, members_of(spans, context.shape[1], steps), done)
    continued = partial(continue_greedily, checkpoint, steps=steps, batch_rows=batch_rows, block_batches=BLOCK_BATCHES)
    greedy = continued(context, draft=true).tokens
    # Every row without each place, side by side: few rows leave passes over single positions all but empty.
    row = torch.arange(len(text)).repeat_interleave(cuts)
    knockout = Knockout(checkpoint, [*spans.values()] * len(text))
    with at_rows(row):
        likely = forced(checkpoint, text[row], steps, batch_rows, intervention=knockout, done=done).log_probability
        tokens = continued(context[row], draft=greedy[row], intervention=knockout, done=done).tokens
    hits = [(made == of_row).sum(dim=-1).to(torch.uint8) for made, of_row in ((greedy, true), (tokens, true[row]))]
    shape = len(text), cuts
    return Attended(mass, hits[0], hits[1].reshape(shape), clean.log_probability, likely.reshape(shape))


def masses(
    checkpoint: Checkpoint, text: Tensor, steps: int, batch_rows: int, members: np.ndarray, done: Done = unseen
) -> tuple[Forced, Tensor]:
    """What the whole model makes of `text`, and its attention to each place, (rows, layers, heads, places) float32.

    `members` are those of `recite.stages.attention.places`. Weights are summed within the pass; none are kept.
    """
    of_place = torch.from_numpy(members).flatten(0, 1)
    none = torch.empty(0, checkpoint.heads, members.shape[-1])
    parts = [[none] for _ in checkpoint.layers]

    def see(layer: int, weights: Tensor) -> None:
        predicting = weights[:, :, -steps:].flatten(2)
        # Not by a matrix product, in which a row's bits follow from where it stands.
        summed = [(predicting * counted.to(weights.device)).sum(-1) for counted in of_place.T]
        parts[layer].append((torch.stack(summed, dim=-1) / steps).cpu())

    with weights_seen(checkpoint, see):
        clean = forced(checkpoint, text, steps, batch_rows, done=done)
    return clean, torch.stack([torch.cat(part)[: len(text)] for part in parts], dim=1)
