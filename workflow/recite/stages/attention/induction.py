"""How each head attends in random tokens that stand there twice (Olsson et al. 2022, arXiv 2209.11895).

An induction head, at a token that has occurred before, attends to the one that followed it then. Random tokens have
nothing else to go by.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.finite import refuse_non_finite
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.passes import check_length, forward, whole_rows
from recite.engine.residuals import Unkept, batches, weights_seen
from recite.errors import ReciteError
from recite.files import hash64
from recite.progress import Done, Progress, unseen
from recite.stages.attention.rows import INDUCED
from recite.tables.lists import as_lists


class Induced(NamedTuple):
    """Mean weights in each sequence, both (sequences, layers, heads) float32: see the table `induced`."""

    induction: Tensor
    previous: Tensor


def measure_induction(options: Mapping[str, Any], checkpoint: Path, induced: Path, threads: int) -> None:
    """Write how each head of one model attends in every sequence.

    `options` are those of scoring with `sequences`, `repeated_tokens` (random tokens that each holds twice) and `seed`.
    """
    torch.set_num_threads(threads)
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    count, length, bos = options["sequences"], options["repeated_tokens"], options["bos"]
    tokens = repeated(count, length, loaded.model.config.vocab_size, bos, options["seed"])
    print(f"{options['model']}: {count} sequences of {length} tokens twice on {loaded.device}", flush=True)
    found, batch_rows = halving(
        lambda size: heads_in(loaded, tokens, length, size, Progress(count)), options["batch_rows"]
    )
    columns = {name: as_lists(values.flatten(1).numpy()) for name, values in found._asdict().items()}
    metadata = made(
        options,
        loaded,
        batch_rows,
        layers=len(loaded.layers),
        heads=loaded.heads,
        even=even_weight(length, bos is not None),
    )
    INDUCED.write(induced, columns | {"sequence": list(range(count))}, metadata)


def repeated(count: int, length: int, vocabulary: int, bos: int | None, seed: int) -> Tensor:
    """Sequences of `length` distinct random tokens that stand there twice, behind `bos` if any, int64.

    A sequence follows from the seed and its number. ReciteError for too small a vocabulary.
    """
    if vocabulary <= length:
        raise ReciteError(
            f"`attention.repeated_tokens` asks for {length} distinct tokens beside a begin-of-sequence token, but the "
            f"vocabulary has {vocabulary}; ask for fewer."
        )
    lines = []
    for number in range(count):
        generator = torch.Generator().manual_seed(hash64(seed, "repeated tokens", number) % 2**63)
        drawn = torch.randperm(vocabulary, generator=generator)
        half = drawn[drawn != (-1 if bos is None else bos)][:length]
        lines.append(torch.cat([half[:0] if bos is None else torch.tensor([bos]), half, half]))
    return torch.stack(lines)


@torch.inference_mode()
def heads_in(checkpoint: Checkpoint, tokens: Tensor, length: int, batch_rows: int, done: Done = unseen) -> Induced:
    """How each head attends in `tokens` (sequences, BOS + 2 x length), `batch_rows` a pass; `done` is told of each.

    From every token of the second half to the one after its first occurrence; from every token but the first, BOS
    apart, to the one before. Raises NotFiniteError where weights are not finite.
    """
    check_length(checkpoint, tokens.shape[1])
    start = tokens.shape[1] - 2 * length
    again, after_first = torch.arange(start + 1, tokens.shape[1]), torch.arange(start + length, tokens.shape[1])
    shape = (len(tokens), len(checkpoint.layers), checkpoint.heads)
    found = Induced(torch.empty(shape), torch.empty(shape))
    for rows, chosen in batches(len(tokens), whole_rows(checkpoint, batch_rows, tokens.shape[1])):
        kept = rows.stop - rows.start

        def see(layer: int, weights: Tensor, rows: slice = rows, kept: int = kept) -> None:
            found.induction[rows, layer] = weights[:kept, :, after_first, after_first - length + 1].mean(-1).cpu()
            found.previous[rows, layer] = weights[:kept, :, again, again - 1].mean(-1).cpu()

        with weights_seen(checkpoint, see):
            forward(checkpoint, tokens[chosen].to(checkpoint.model.device), Unkept(), 1)
        done(kept)
    refuse_non_finite(found.previous, "attention weights", checkpoint.dtype)
    return found


def even_weight(length: int, bos: bool) -> float:
    """The induction score of a head that attends evenly to all that it sees."""
    return sum(1 / (position + bos + 1) for position in range(length, 2 * length)) / length
