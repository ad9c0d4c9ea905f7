"""The one primitive that calls a model: continue greedily, against a draft and under an intervention where given.

All rows have one length, every pass of one kind has one shape, and a batch that rows do not fill is filled with
what is thrown away: there is no padding token and no attention mask. A row's result therefore does not depend on the
rows that share its batch, on the shard, or on a restart.

A draft is a guess of the continuation. A pass over several of its tokens at once gives the model's own choices up
to and including the first that is not the draft's, just as step-by-step decoding would; only from there the
row goes on step by step. Rows are kept sorted by where they left their draft, so that those which step at a
position always lie side by side, at one position, and no key or value is gathered.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recite.checkpoints import Checkpoint
from recite.errors import ReciteError
from recite.kernels import KeyValues

CHUNK = 8
"""Tokens of a draft that one pass checks: a row that leaves its draft wastes at most one token less."""


class Pass(NamedTuple):
    """What an intervention may know of a forward pass over one batch.

    rows: index of each row of the batch, repeated where it is filled. start: position of the first token fed,
    counted from the row's first, BOS included. prompt: number of tokens of the context.
    """

    rows: list[int]
    start: int
    prompt: int


Intervention = Callable[[Pass], AbstractContextManager[object]]
"""Changes the model within the block for one pass."""


class Continuation(NamedTuple):
    """Greedy continuations of some rows.

    tokens: (rows, steps) int64, the generated ids. EOS is a token like any other.
    first_mismatch: (rows,) int64, number of leading tokens that equal the draft's; 0 without a draft.
    margin: (rows,) float32, the smallest gap between the best and the second-best logit, over the steps.
    """

    tokens: Tensor
    first_mismatch: Tensor
    margin: Tensor


class Trace(NamedTuple):
    """What a clean run over given tokens leaves behind, so that a changed run can restart at any layer.

    residuals: layer -> its input, (rows, positions, width). heads: layer -> the input of its attention output
    projection, (rows, positions, heads x width of a head). keys_values: layer -> keys and values, (rows, key/value
    heads, positions, width of a head). Rows beyond those traced fill the last batch.
    """

    residuals: dict[int, Tensor]
    heads: dict[int, Tensor]
    keys_values: dict[int, tuple[Tensor, Tensor]]


class Restart(NamedTuple):
    """Where rows take up a clean run: layers below `layer` are not run again; row i is row `rows[i]` of the trace."""

    trace: Trace
    layer: int
    rows: Tensor


@torch.inference_mode()
def continue_greedily(
    checkpoint: Checkpoint,
    context: Tensor,
    steps: int,
    batch_rows: int,
    *,
    draft: Tensor | None = None,
    intervention: Intervention | None = None,
    restart: Restart | None = None,
    to_the_end: bool = True,
    block_batches: int = 1,
) -> Continuation:
    """Continue every row of `context` (rows, length; int64 token ids) by `steps` greedy tokens.

    `batch_rows` is the number of rows of every forward pass. `draft` (rows, steps) saves time where it is right
    and changes nothing where it is wrong. `intervention` is in force in every pass; a `restart` (with a draft
    only, the one that was traced) is for interventions that leave the layers below it as they are. Without
    `to_the_end` a row is dropped where it leaves its draft: `first_mismatch` is exact, later tokens are not made.
    Rows that have left their drafts share batches within a block of `block_batches` batches.

    Memory: see `recite.memory.predicted_bytes`. Raises ReciteError for rows that are longer
    than the model's positions or attention window.
    """
    length = context.shape[1] + steps - 1
    check_length(checkpoint, length)
    if len(context) == 0:
        empty = context.new_zeros(0)
        return Continuation(context.new_zeros(0, steps), empty, empty.float())
    block_rows = min(block_batches * batch_rows, -(-len(context) // batch_rows) * batch_rows)
    block = _Block(checkpoint, batch_rows, block_rows, context.shape[1], steps, intervention, restart)
    parts = [
        block.run(range(start, min(start + block_rows, len(context))), context, draft, to_the_end)
        for start in range(0, len(context), block_rows)
    ]
    return Continuation(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def check_length(checkpoint: Checkpoint, length: int) -> None:
    """Refuse rows of `length` tokens that the model cannot attend over as a whole."""
    config = checkpoint.model.config
    for key in ("max_position_embeddings", "sliding_window"):
        longest = getattr(config, key, None)
        if longest is not None and length > longest:
            raise ReciteError(
                f"rows of {length} tokens are longer than the model's {key} ({longest}); choose shorter rows."
            )


class _Block:
    """Rows that are continued together, in slots that are sorted by where they left their draft.

    At the start of a chunk every row knows all tokens before it, and the model has been fed all of these but the last.
    Rows that follow their draft are checked against it; those that have left it, or leave it now, go through the chunk
    step by step.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        batch_rows: int,
        block_rows: int,
        prompt: int,
        steps: int,
        intervention: Intervention | None,
        restart: Restart | None,
    ) -> None:
        self.checkpoint, self.batch_rows, self.prompt, self.steps = checkpoint, batch_rows, prompt, steps
        self.intervention, self.restart = intervention, restart
        self.cache = KeyValues(block_rows, prompt + steps - 1)
        device = checkpoint.model.device
        self.text = torch.zeros(block_rows, prompt + steps, dtype=torch.int64, device=device)
        self.rows = torch.zeros(block_rows, dtype=torch.int64)

    def run(self, rows: range, context: Tensor, draft: Tensor | None, to_the_end: bool) -> Continuation:
        """Continue the rows of `context` that `rows` names."""
        self._fill(rows, context, draft)
        for start in range(0, self.steps, CHUNK):
            end = min(start + CHUNK, self.steps)
            self._check(start, end)
            if to_the_end:
                self._step(start, end)
        order = self.rows[: len(rows)].argsort()
        tokens = self.text[: len(rows), self.prompt :]
        return Continuation(*(part.cpu()[order] for part in (tokens, self.leaves.clamp(min=0), self.margin)))

    def _fill(self, rows: range, context: Tensor, draft: Tensor | None) -> None:
        chosen, device = slice(rows.start, rows.stop), self.text.device
        self.text[: len(rows), : self.prompt] = context[chosen]
        if draft is not None:
            self.text[: len(rows), self.prompt :] = draft[chosen]
        self.rows[:] = torch.arange(rows.start, rows.start + len(self.rows)).clamp(max=rows.stop - 1)
        self.leaves = torch.full((len(rows),), -1 if draft is None else self.steps, device=device)
        self.margin = torch.full((len(rows),), torch.inf, device=device)
        if self.restart:
            for layer in range(self.restart.layer):
                clean = self.restart.trace.keys_values[layer]
                if layer not in self.cache.layers:
                    self.cache.allocate(layer, clean[0])
                for buffer, source in zip(self.cache.layers[layer], clean, strict=True):
                    buffer[: len(rows)] = source[self.restart.rows[chosen].to(source.device)]

    def _check(self, start: int, end: int) -> None:
        """Hold tokens [start, end) of the drafts that are still followed against the model; sort by where they fail."""
        last = len(self.leaves)
        gone = int((self.leaves < start).sum())
        if gone == last:
            return
        first = self.prompt + start - 1 if start else 0
        choice, gap = self._pass(gone, last, first, self.prompt + end - 1, end - start, restarted=True)
        right = (choice == self.text[gone:last, self.prompt + start : self.prompt + end]).cumprod(1).sum(1)
        unused = torch.arange(end - start, device=right.device) > right[:, None]
        self.margin[gone:] = torch.minimum(self.margin[gone:], gap.masked_fill(unused, torch.inf).amin(1))
        wrong = (right < end - start).nonzero().flatten()
        slots, tokens = gone + wrong, start + right[wrong]
        self.text[slots, self.prompt + tokens] = choice[wrong, right[wrong]]
        self.leaves[slots] = tokens
        self._sort(gone)

    def _step(self, start: int, end: int) -> None:
        """Take the slots that have left their drafts through tokens [start, end), one token at a time."""
        leaves = self.leaves.tolist()
        for token in range(start, end):
            active = sum(place < token for place in leaves)
            if active:
                first = self.prompt + token - 1 if token else 0
                choice, gap = self._pass(0, active, first, self.prompt + token, 1, restarted=False)
                self.text[:active, self.prompt + token] = choice[:, 0]
                self.margin[:active] = torch.minimum(self.margin[:active], gap[:, 0])

    def _sort(self, first: int) -> None:
        """Sort the slots from `first` on by where they left their drafts."""
        order = self.leaves[first:].argsort(stable=True)
        moved = (order != torch.arange(len(order), device=order.device)).nonzero().flatten()
        if len(moved):
            to, source = first + moved, first + order[moved]
            for tensor in (self.text, self.rows, self.leaves, self.margin):
                tensor[to.to(tensor.device)] = tensor[source.to(tensor.device)]
            self.cache.move(to, source)

    def _pass(self, first: int, last: int, start: int, end: int, keep: int, restarted: bool) -> tuple[Tensor, Tensor]:
        """Feed positions [start, end) of slots [first, last), in batches; the last `keep` choices and their gaps."""
        choices, gaps = [], []
        for low in range(first, last, self.batch_rows):
            high = min(low + self.batch_rows, last)
            base = min(low, len(self.text) - self.batch_rows)
            window = slice(base, base + self.batch_rows)
            self.cache.window, self.cache.written, self.cache.start = window, slice(low, high), start
            with ExitStack() as stack:
                rows = self.rows[window]
                if self.intervention:
                    stack.enter_context(self.intervention(Pass(rows.tolist(), start, self.prompt)))
                if self.restart and restarted:
                    stack.enter_context(_skipped(self.checkpoint.layers, self.restart, rows, start, end))
                logits = forward(self.checkpoint, self.text[window, start:end], self.cache, keep)
            choice, gap = _choose(logits[low - base : high - base])
            del logits  # else they would lie in memory through the next batch's pass
            choices.append(choice)
            gaps.append(gap)
        return torch.cat(choices), torch.cat(gaps)


def forward(checkpoint: Checkpoint, tokens: Tensor, cache: KeyValues, keep: int) -> Tensor:
    """Logits (rows, keep, vocabulary) of the last `keep` of the positions fed."""
    logits: Tensor = checkpoint.model(
        input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=keep
    ).logits
    return logits


def _choose(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The best token at each position and its lead over the second best; `logits` are overwritten."""
    logits = logits.float()
    choice = logits.argmax(dim=-1, keepdim=True)
    best = logits.gather(-1, choice)
    second = logits.scatter_(-1, choice, -torch.inf).amax(dim=-1, keepdim=True)
    return choice.squeeze(-1), (best - second).squeeze(-1)


@contextmanager
def _skipped(layers: nn.ModuleList, restart: Restart, rows: Tensor, start: int, end: int) -> Iterator[None]:
    """Run the layers below the restart as if they were not there, and hand its layer the traced input."""
    traced = restart.trace.residuals[restart.layer]
    resumed = traced[restart.rows[rows].to(traced.device), start:end]
    skipped = list(layers[: restart.layer])
    before = [layer.__dict__.get("forward") for layer in skipped]
    for layer in skipped:
        layer.forward = lambda *_, **__: resumed
    try:
        yield
    finally:
        for layer, own in zip(skipped, before, strict=True):
            if own is None:
                del layer.forward
            else:
                layer.forward = own


@torch.inference_mode()
def trace(checkpoint: Checkpoint, context: Tensor, draft: Tensor, batch_rows: int) -> Trace:
    """Run over `context` and all but the last token of `draft`, in the passes in which drafts are checked.

    Memory per row: layers x positions x (width + (heads + 2 x key/value heads) x width of a head) numbers of the
    model's dtype.
    """
    prompt, steps = context.shape[1], draft.shape[1]
    length = prompt + steps - 1
    check_length(checkpoint, length)
    capacity = -(-len(context) // batch_rows) * batch_rows
    text = torch.zeros(capacity, length, dtype=torch.int64, device=checkpoint.model.device)
    text[: len(context)] = torch.cat([context, draft[:, :-1]], dim=1)
    cache = KeyValues(capacity, length)
    layers = range(len(checkpoint.layers))
    residuals = [_Recorder(checkpoint.layers[layer], capacity, length) for layer in layers]
    heads = [_Recorder(checkpoint.attention_output(layer), capacity, length) for layer in layers]
    with ExitStack() as stack:
        for recorder in (*residuals, *heads):
            stack.enter_context(recorder)
        for low in range(0, capacity, batch_rows):
            window = cache.window = cache.written = slice(low, low + batch_rows)
            for start in range(0, steps, CHUNK):
                cache.start = prompt + start - 1 if start else 0
                span = slice(cache.start, prompt + min(start + CHUNK, steps) - 1)
                for recorder in (*residuals, *heads):
                    recorder.place = window, span
                forward(checkpoint, text[window, span], cache, 1)
    return Trace(
        {layer: residuals[layer].seen for layer in layers},
        {layer: heads[layer].seen for layer in layers},
        cache.layers,
    )


class _Recorder:
    """Keeps what a module is given, (rows, positions, width), within the block."""

    def __init__(self, module: nn.Module, rows: int, positions: int) -> None:
        self.module, self.shape = module, (rows, positions)
        self.place = slice(0, rows), slice(0, positions)
        self.seen = torch.empty(0)

    def __enter__(self) -> None:
        self.handle = self.module.register_forward_pre_hook(self._see)

    def __exit__(self, *_: object) -> None:
        self.handle.remove()

    def _see(self, module: nn.Module, arguments: Any) -> None:
        if not self.seen.numel():
            self.seen = arguments[0].new_zeros(*self.shape, arguments[0].shape[-1])
        self.seen[self.place] = arguments[0]
