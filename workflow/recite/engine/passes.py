"""Forward passes over rows of one length: what they give, and how many rows one has.

Kernels may sum in another order where there are more rows, so that passes of one kind have one number of rows, and what
is thrown away fills the last. Those of a CPU often give a row the same bits whatever lies beside it, and so may a
GPU's; where a trial shows that they do, a pass has about as many rows as there are: nothing is thrown away, and the
weights are read less often.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from recite.checkpoints.loading import Checkpoint
from recite.checkpoints.structure import TUPLES
from recite.errors import ReciteError
from recite.kernels.graphs import Graphs, recorded_on
from recite.kernels.key_values import KeyValues
from recite.kernels.logits import choose

CHUNK = 8
"""Most tokens of a draft that one pass checks: a row that leaves its draft wastes at most one token less."""
PASS_TOKENS = 640
"""Most tokens of a pass on a CPU, where its caches hold what a layer makes of these; longer rows go one by one."""
WHOLE_TOKENS = 1024
"""The same of a pass over whole rows, from which more is read than the next token: too few rows make that slow."""
BLOCK_BATCHES = 4
"""Batches whose rows share passes as others drop out; keys and values of so many are kept at once."""
LONGEST = ("max_position_embeddings", "sliding_window", "window_size", "attention_chunk_size", "max_seq_len")
"""Keys of configs for the most positions that all layers attend over."""
UNITS = 4
"""Parts of the usual number of rows of which a pass may have any number, if a trial allows it."""


_graphs: WeakKeyDictionary[nn.Module, Graphs] = WeakKeyDictionary()
_kept: WeakKeyDictionary[nn.Module, KeyValues | None] = WeakKeyDictionary()
_trials: WeakKeyDictionary[nn.Module, dict[tuple[int, int, int, int], bool]] = WeakKeyDictionary()


def forward(checkpoint: Checkpoint, tokens: Tensor, cache: KeyValues, keep: int) -> Tensor:
    """Logits (rows, keep, vocabulary) of the last `keep` of the positions fed."""
    logits: Tensor = checkpoint.model(
        input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=keep
    ).logits
    return logits


def last_hidden(checkpoint: Checkpoint, tokens: Tensor, cache: KeyValues, keep: int) -> Tensor:
    """What the unembedding is given at the last `keep` of the positions fed, (rows, keep, width).

    The last layer makes nothing but keys and values of the positions before, unless a hook in it waits for more.
    """
    last = checkpoint.layers[-1]
    whole = keep == tokens.shape[1] or checkpoint.architecture.own_attention or getattr(last, TUPLES, False)
    whole = whole or any(part._forward_hooks or part._forward_pre_hooks for part in last.modules())
    with nullcontext() if whole else _shortened(last, cache, keep):
        output = checkpoint.body(input_ids=tokens, past_key_values=cache, use_cache=True)
    hidden: Tensor = output.last_hidden_state[:, -keep:]
    return hidden


@contextmanager
def _shortened(layer: nn.Module, cache: KeyValues, keep: int) -> Iterator[None]:
    """Within the block the layer's output is made for the last `keep` positions; before, it is what it was given."""
    whole = layer.forward

    def forward(hidden: Tensor, *others: Any, **named: Any) -> Tensor:
        fed = hidden.shape[1]

        def run(positions: slice) -> Tensor:
            def cut(value: Any) -> Any:
                along = isinstance(value, Tensor) and value.ndim > 1 and value.shape[1] == fed
                return value[:, positions] if along else value

            (first, *rest), kept = tree_map(cut, ((hidden, *others), named))
            output: Tensor = whole(first, *rest, **kept)
            return output

        with cache.storing_alone():
            run(slice(fed - keep))
        cache.start += fed - keep
        output = run(slice(fed - keep, None))
        cache.start -= fed - keep
        return torch.cat([hidden[:, : fed - keep].to(output.device), output], dim=1)

    with forwarding([layer], forward):
        yield


@contextmanager
def replaced(layers: nn.ModuleList, output: Tensor | None) -> Iterator[None]:
    """Within the block the layers hand on `output`, or without it what they are given, and do nothing else."""

    tuples = any(getattr(layer, TUPLES, False) for layer in layers)

    def forward(hidden: Tensor, *_: Any, **__: Any) -> Any:
        given = hidden if output is None else output
        return (given, None) if tuples else given

    with forwarding(list(layers), forward):
        yield


@contextmanager
def forwarding(layers: Sequence[nn.Module], forward: Callable[..., Any]) -> Iterator[None]:
    """Within the block `forward` is what each of the layers, or other modules, does."""
    before = [layer.__dict__.get("forward") for layer in layers]
    for layer in layers:
        layer.forward = forward
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            if own is None:
                del layer.forward
            else:
                layer.forward = own


def check_length(checkpoint: Checkpoint, length: int) -> None:
    """Refuse rows of `length` tokens that the model cannot attend over as a whole."""
    config = checkpoint.model.config
    for key in LONGEST:
        longest = getattr(config, key, None)
        if isinstance(longest, int) and 0 < longest < length:
            raise ReciteError(
                f"rows of {length} tokens are longer than the model's {key} ({longest}); choose shorter rows."
            )


def check_attention(checkpoint: Checkpoint) -> None:
    """Refuse a class whose attention is not `recite.kernels.attention`, so that its weights are not known here."""
    architecture = checkpoint.architecture
    if architecture.own_attention:
        raise ReciteError(
            f"{architecture.model_class} computes attention itself, so that its weights can be neither seen nor cut "
            "here; leave the model out of the analysis of attention."
        )


def chunks(steps: int, whole: bool = False) -> Iterator[range]:
    """Tokens of a draft that are checked at once: the first, which fails most often, by itself; or all."""
    ends = [steps] if whole else sorted({1, *range(CHUNK, steps, CHUNK), steps})
    return map(range, [0, *ends], ends)


def pass_rows(checkpoint: Checkpoint, batch_rows: int, fed: int) -> int:
    """Usual rows of a pass over `fed` positions: `batch_rows`, on a CPU halved until the tokens stay in its caches."""
    return _halved(checkpoint, batch_rows, fed, PASS_TOKENS)


def whole_rows(checkpoint: Checkpoint, batch_rows: int, fed: int) -> int:
    """Rows of every pass over whole rows of `fed` positions: as `pass_rows`, of up to WHOLE_TOKENS."""
    return _halved(checkpoint, batch_rows, fed, WHOLE_TOKENS)


def _halved(checkpoint: Checkpoint, rows: int, fed: int, most: int) -> int:
    while checkpoint.model.device.type == "cpu" and rows > 1 and rows * fed > most:
        rows //= 2
    return rows


def largest_rows(checkpoint: Checkpoint, batch_rows: int, fed: int, most: int) -> int:
    """Rows of the largest pass over `fed` positions: the usual; of one position up to `most`, if that is more."""
    usual = pass_rows(checkpoint, batch_rows, fed)
    if fed > 1:
        return usual
    unit = _unit(usual)
    tokens = min(most, PASS_TOKENS) if checkpoint.model.device.type == "cpu" else most
    return max(usual, tokens // unit * unit)


def fitting_rows(checkpoint: Checkpoint, batch_rows: int, fed: int, keep: int, count: int, most: int) -> int:
    """Rows of every pass that takes its part of `count` rows over `fed` positions, of which the last `keep` matter.

    The usual number; if a trial allows it, the number of units that wastes the least, up to `largest_rows`.
    """
    usual = pass_rows(checkpoint, batch_rows, fed)
    unit, largest = _unit(usual), largest_rows(checkpoint, batch_rows, fed, most)
    each = -(-count // -(-count // largest))
    fitting = min(largest, -(-each // unit) * unit)
    return fitting if fitting == usual or _bits_are_apart(checkpoint, fed, keep, unit, largest) else usual


def _unit(usual: int) -> int:
    return usual // UNITS if usual % UNITS == 0 else usual


def _bits_are_apart(checkpoint: Checkpoint, fed: int, keep: int, unit: int, largest: int) -> bool:
    """Whether a row's bits are the same in passes of any number of units up to `largest` rows; tried once.

    The trial runs the first layer, which has the shapes of all but the last, then the last, and of the unembedding a
    slice of each size, after some positions.
    """
    known = _trials.setdefault(checkpoint.model, {})
    key = fed, keep, unit, largest
    if key not in known:
        known[key] = _try(checkpoint, *key)
    return known[key]


@torch.inference_mode()
def _try(checkpoint: Checkpoint, fed: int, keep: int, unit: int, largest: int) -> bool:
    shape, generator = (largest, CHUNK + fed), torch.Generator().manual_seed(0)
    tokens = torch.randint(0, checkpoint.model.config.vocab_size, shape, generator=generator)
    tokens = tokens.to(checkpoint.model.device)
    cache = KeyValues(*shape)
    slices = {part.out_features: part for part in checkpoint.unembedding}.values()

    def logits(rows: int) -> list[Tensor]:
        cache.window = cache.written = slice(0, rows)
        hidden = last_hidden(checkpoint, tokens[:rows, cache.start :], cache, keep)
        return [part(hidden) for part in slices]

    with replaced(checkpoint.layers[1:-1], None):
        last_hidden(checkpoint, tokens[:, :CHUNK], cache, 1)
        cache.start = CHUNK
        whole = logits(largest)
        for rows in range(unit, largest, unit):
            if not all(torch.equal(part, of_all[:rows]) for part, of_all in zip(logits(rows), whole, strict=True)):
                return False
    return True


def one_token(
    checkpoint: Checkpoint,
    cache: KeyValues,
    window: slice,
    start: int,
    below: int,
    intervention: Any,
    tokens: Tensor,
    written: Tensor,
    *more: Tensor,
) -> tuple[Tensor, Tensor]:
    """Choices and gaps of a pass over one token of each row of a window, from what does not move and from tensors.

    Layers `below` the restarted one hand on the first of `more`; the intervention is given the others.
    """
    cache.window, cache.written, cache.start = window, written, start
    with ExitStack() as stack:
        if below:
            stack.enter_context(replaced(checkpoint.layers[:below], more[0]))
            more = more[1:]
        if intervention:
            stack.enter_context(intervention.replacing(*more))
        hidden = last_hidden(checkpoint, tokens, cache, 1)
    return choose(checkpoint.logits(part(hidden)) for part in checkpoint.unembedding)


@contextmanager
def keeping_recordings(checkpoint: Checkpoint) -> Iterator[None]:
    """Within the block the keys and values of a call stay for the next of their size, with the passes recorded."""
    _kept[checkpoint.model] = None
    try:
        yield
    finally:
        del _kept[checkpoint.model]
        if checkpoint.model in _graphs:
            _graphs[checkpoint.model].forget()


@contextmanager
def caches(checkpoint: Checkpoint, rows: int, length: int) -> Iterator[tuple[KeyValues, Graphs | None]]:
    """For the block, keys and values of so many rows and positions, and what records passes over them, if anything.

    No passes are recorded of a model that something else watches or changes.
    """
    model = checkpoint.model
    watched = any(part._forward_hooks or part._forward_pre_hooks or "forward" in vars(part) for part in model.modules())
    if watched or not recorded_on({tensor.device for tensor in model.parameters()}):
        yield KeyValues(rows, length), None
        return
    graphs, kept = _graphs.setdefault(model, Graphs()), _kept.get(model)
    if kept is None or (kept.capacity, kept.length) != (rows, length):
        graphs.forget()
        if model in _kept:
            _kept[model] = None  # its memory is let go before there is more
        kept = KeyValues(rows, length)
    try:
        yield kept, graphs
    except BaseException:  # as where memory ran out
        kept = None
        raise
    finally:
        if model in _kept:
            _kept[model] = kept
        if _kept.get(model) is None:
            graphs.forget()
