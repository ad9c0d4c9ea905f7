"""The one primitive that calls a model: continue greedily, against a draft and under an intervention where given.

All rows have one length: there is no padding token and no attention mask. A pass has the same number of rows as every
other of its kind, or any number that is known to change no bit (`recite.engine.passes`). A row's result therefore does
not depend on the rows that share its batch, on the shard, or on a restart.

A draft is a guess of the continuation. A pass over several of its tokens at once gives the model's own choices up
to and including the first that is not the draft's, just as step-by-step decoding would; only from there the
row goes on step by step. Rows are kept sorted by where they left their draft, so that those which step at a
position always lie side by side, at one position, and no key or value is gathered.

Where the draft's own log-probability is asked for, too, it is fed whole, in one pass in place of several.
"""

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.branches import Restart
from recite.engine.finite import at_rows, refuse_non_finite
from recite.engine.passes import (
    CHUNK,
    caches,
    check_length,
    chunks,
    fitting_rows,
    last_hidden,
    one_token,
    replaced,
)
from recite.kernels.graphs import Graphs
from recite.kernels.key_values import KeyValues
from recite.kernels.logits import Likelihood, choose
from recite.progress import Done, unseen


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
    log_probability: (rows,) float32, nats, of the draft as it is fed, all of it; NaN where it was not asked for.
    """

    tokens: Tensor
    first_mismatch: Tensor
    margin: Tensor
    log_probability: Tensor


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
    likelihood: bool = False,
    block_batches: int = 1,
    done: Done = unseen,
) -> Continuation:
    """Continue every row of `context` (rows, length; token ids) by `steps` greedy tokens.

    `batch_rows` is the number of rows of a forward pass, see `fitting_rows`. `draft` (rows, steps) saves time where it
    is right and changes nothing where it is wrong. `intervention` is in force in every pass; a `restart` (with a draft
    only, the one that was traced) is for interventions that leave the layers below it as they are. Without
    `to_the_end` a row is dropped where it leaves its draft: `first_mismatch` is exact, later tokens are not made. With
    `likelihood` the log-probability of the draft is told, too.
    Rows that have left their drafts share batches within a block of `block_batches` batches; `done` is told the rows of
    every block.

    Memory: see `recite.engine.memory.predicted_bytes`. Raises ReciteError for rows that are longer than the model's
    positions or attention window, and NotFiniteError where the logits that decide a token, or likelihoods, are not
    finite.
    """
    length = context.shape[1] + steps - 1
    check_length(checkpoint, length)
    if len(context) == 0:
        empty = torch.zeros(0, dtype=torch.int64)
        return Continuation(empty.reshape(0, steps), empty, empty.float(), empty.float())
    batches = -(-len(context) // batch_rows)
    block_rows = -(-batches // -(-batches // block_batches)) * batch_rows
    parts = []
    with caches(checkpoint, block_rows, length) as kept:
        block = _Block(checkpoint, batch_rows, kept, context.shape[1], steps, intervention, restart)
        for start in range(0, len(context), block_rows):
            rows = range(start, min(start + block_rows, len(context)))
            parts.append(block.run(rows, context, draft, to_the_end, likelihood))
            with at_rows(rows):
                refuse_non_finite(parts[-1].margin, "logits", checkpoint.dtype)
                if likelihood:
                    refuse_non_finite(parts[-1].log_probability, "likelihoods", checkpoint.dtype)
            done(len(rows))
    return Continuation(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


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
        kept: tuple[KeyValues, Graphs | None],
        prompt: int,
        steps: int,
        intervention: Intervention | None,
        restart: Restart | None,
    ) -> None:
        self.checkpoint, self.batch_rows, self.prompt, self.steps = checkpoint, batch_rows, prompt, steps
        self.intervention, self.restart = intervention, restart
        self.cache, self.graphs = kept
        block_rows, device = self.cache.capacity, checkpoint.model.device
        self.text = torch.zeros(block_rows, prompt + steps, dtype=torch.int64, device=device)
        self.rows = torch.zeros(block_rows, dtype=torch.int64)

    def run(
        self, rows: range, context: Tensor, draft: Tensor | None, to_the_end: bool, likelihood: bool
    ) -> Continuation:
        """Continue the rows of `context` that `rows` names."""
        self._fill(rows, context, draft)
        for chunk in chunks(self.steps, whole=likelihood):
            self._check(chunk.start, chunk.stop, likelihood)
            if to_the_end:
                self._step(chunk.start, chunk.stop)
        order = self.rows[: len(rows)].argsort()
        tokens, leaves = self.text[: len(rows), self.prompt :], self.leaves.clamp(min=0)
        return Continuation(*(part.cpu()[order] for part in (tokens, leaves, self.margin, self.log_probability)))

    def _fill(self, rows: range, context: Tensor, draft: Tensor | None) -> None:
        chosen, device = slice(rows.start, rows.stop), self.text.device
        self.text[: len(rows), : self.prompt] = context[chosen]
        if draft is not None:
            self.text[: len(rows), self.prompt :] = draft[chosen]
        self.rows[:] = torch.arange(rows.start, rows.start + len(self.rows)).clamp(max=rows.stop - 1)
        self.leaves = torch.full((len(rows),), -1 if draft is None else self.steps, device=device)
        self.margin = torch.full((len(rows),), torch.inf, device=device)
        self.log_probability = torch.full((len(rows),), torch.nan, device=device)
        if self.restart:
            self.restart.trace.branches.prepare(self.restart.layer, len(self.rows) * (self.steps - 1))

    def _check(self, start: int, end: int, likelihood: bool) -> None:
        """Hold tokens [start, end) of the drafts that are still followed against the model; sort by where they fail.

        With `likelihood` these are all of the draft.
        """
        last = len(self.leaves)
        gone = int((self.leaves < start).sum())
        if gone == last:
            return
        first = self.prompt + start - 1 if start else 0
        drafted = self.text[gone:last, self.prompt + start : self.prompt + end]
        choice, gap, *told = self._pass(gone, last, first, self.prompt + end - 1, drafted, likelihood=likelihood)
        if told:
            self.log_probability = told[0].double().sum(dim=1).float()
        right = (choice == drafted).cumprod(1).sum(1)
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
                first, now = self.prompt + token - 1 if token else 0, self.prompt + token
                branched = None
                if self.restart:
                    rows, places = self.restart.rows[self.rows[:active]], [self.prompt + place for place in leaves]
                    known = self.text[:active, :now].cpu()
                    branched = self.restart.trace.branches.follow(rows.tolist(), places[:active], known)
                choice, gap = self._pass(0, active, first, now, self.text[:active, now : now + 1], branched)
                self.text[:active, now] = choice[:, 0]
                self.margin[:active] = torch.minimum(self.margin[:active], gap[:, 0])

    def _sort(self, first: int) -> None:
        """Sort the slots from `first` on by where they left their drafts."""
        order = self.leaves[first:].argsort(stable=True)
        moved = (order != torch.arange(len(order), device=order.device)).nonzero().flatten()
        if len(moved):
            to, source = first + moved, first + order[moved]
            for tensor in (self.text, self.rows, self.leaves, self.margin, self.log_probability):
                tensor[to.to(tensor.device)] = tensor[source.to(tensor.device)]
            self.cache.move(to, source)

    def _pass(
        self,
        first: int,
        last: int,
        start: int,
        end: int,
        following: Tensor,
        branched: Tensor | None = None,
        likelihood: bool = False,
    ) -> tuple[Tensor, ...]:
        """Feed positions [start, end) of slots [first, last), in batches.

        Of the last positions, as many as there are `following` tokens (slots, positions): the choices, their gaps, and
        with `likelihood` the log-probabilities of these tokens. A restarted layer is given what the trace holds or, for
        slots [0, last) that have left it, `branched`.
        """
        parts, most = [], min(len(self.text), CHUNK * self.batch_rows)
        size = fitting_rows(self.checkpoint, self.batch_rows, end - start, following.shape[1], last - first, most)
        for low in range(first, last, size):
            high = min(low + size, last)
            base = min(low, len(self.text) - size)
            window = slice(base, base + size)
            self.cache.window, self.cache.written, self.cache.start = window, slice(low, high), start
            rows, tokens = self.rows[window], self.text[window, start:end]
            every = torch.arange(base, base + size)
            resumed = None if branched is None else branched[every.to(branched.device).clamp(max=last - 1)]
            found = None
            if end - start == 1 and (resumed is not None or not self.restart):
                found = _replayed(self, rows, tokens, resumed)
            wanted = following[every.clamp(first, last - 1) - first]
            told = found or self._run(rows, tokens, wanted, resumed, likelihood)
            parts.append([values[low - base : high - base].to(self.text.device) for values in told])
        return tuple(torch.cat(values) for values in zip(*parts, strict=True))

    def _run(
        self, rows: Tensor, tokens: Tensor, following: Tensor, resumed: Tensor | None, likelihood: bool
    ) -> tuple[Tensor, ...]:
        """Feed the tokens of a window, of which the cache knows where it is; what `_pass` tells of its last ones."""
        with ExitStack() as stack:
            if self.intervention:
                stack.enter_context(self.intervention(Pass(rows.tolist(), self.cache.start, self.prompt)))
            if self.restart and resumed is None:
                stack.enter_context(self.restart.along_the_trace(self.checkpoint, rows, tokens.shape[1], self.cache))
            elif self.restart and resumed is not None:
                stack.enter_context(replaced(self.checkpoint.layers[: self.restart.layer], resumed))
            hidden = last_hidden(self.checkpoint, tokens, self.cache, following.shape[1])
        slices = (self.checkpoint.logits(part(hidden)) for part in self.checkpoint.unembedding)
        if not likelihood:
            return choose(slices)
        told = Likelihood(following)
        return *choose(told.hearing(slices)), told.log_probability


def _replayed(block: _Block, rows: Tensor, tokens: Tensor, resumed: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """The same of one token a row by a recorded pass; None if none is recorded, or not under the intervention."""
    what: tuple[Hashable, ...] | None = getattr(block.intervention, "recorded_as", None) if block.intervention else ()
    if block.graphs is None or what is None:
        return None
    window, start, places = block.cache.window, block.cache.start, block.cache.written
    assert isinstance(places, slice)
    here = torch.arange(window.start, window.stop)
    below = block.restart.layer if block.restart else 0
    inputs = [tokens, (here >= places.start) & (here < places.stop)]
    inputs += [resumed] if resumed is not None and below else []
    inputs += block.intervention.given(rows) if block.intervention else []  # type: ignore[attr-defined]
    function = partial(one_token, block.checkpoint, block.cache, window, start, below, block.intervention)
    key = what, below, window.start, len(rows), start
    choice, gap = block.graphs.run(key, function, [tensor.to(tokens.device) for tensor in inputs])
    return choice, gap
