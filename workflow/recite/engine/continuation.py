"""The one primitive that calls a model: continue greedily, against a draft and under an intervention where given.

All rows have one length: there is no padding token and no attention mask. A pass has the same number of rows as every
other of its kind, or any number that is known to change no bit (`recite.engine.passes`). A row's result therefore does
not depend on the rows that share its batch, on the shard, or on a restart.

A draft is a guess of the continuation. A pass over several of its tokens at once gives the model's own choices up
to and including the first that is not the draft's, just as step-by-step decoding would; only from there the
row goes on step by step. Rows are kept sorted by where they left their draft, so that those which step at a
position always lie side by side, at one position, and no key or value is gathered.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from recite.checkpoints.loading import Checkpoint
from recite.engine.branches import Restart
from recite.engine.finite import at_rows, refuse_non_finite
from recite.engine.passes import CHUNK, check_length, chunks, fitting_rows, last_hidden, replaced
from recite.kernels.key_values import KeyValues
from recite.progress import Done, unseen

BLOCK = 128
"""Logits of which `_choose` looks at the greatest first; a divisor of SLICE."""


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
    done: Done = unseen,
) -> Continuation:
    """Continue every row of `context` (rows, length; token ids) by `steps` greedy tokens.

    `batch_rows` is the number of rows of a forward pass, see `fitting_rows`. `draft` (rows, steps) saves time where it
    is right and changes nothing where it is wrong. `intervention` is in force in every pass; a `restart` (with a draft
    only, the one that was traced) is for interventions that leave the layers below it as they are. Without
    `to_the_end` a row is dropped where it leaves its draft: `first_mismatch` is exact, later tokens are not made.
    Rows that have left their drafts share batches within a block of `block_batches` batches; `done` is told the rows of
    every block.

    Memory: see `recite.engine.memory.predicted_bytes`. Raises ReciteError for rows that are longer than the model's
    positions or attention window, and NotFiniteError where the logits that decide a token are not finite.
    """
    length = context.shape[1] + steps - 1
    check_length(checkpoint, length)
    if len(context) == 0:
        empty = torch.zeros(0, dtype=torch.int64)
        return Continuation(empty.reshape(0, steps), empty, empty.float())
    batches = -(-len(context) // batch_rows)
    block_rows = -(-batches // -(-batches // block_batches)) * batch_rows
    block = _Block(checkpoint, batch_rows, block_rows, context.shape[1], steps, intervention, restart)
    parts = []
    for start in range(0, len(context), block_rows):
        rows = range(start, min(start + block_rows, len(context)))
        parts.append(block.run(rows, context, draft, to_the_end))
        with at_rows(rows):
            refuse_non_finite(parts[-1].margin, "logits", checkpoint.dtype)
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
        for chunk in chunks(self.steps):
            self._check(chunk.start, chunk.stop)
            if to_the_end:
                self._step(chunk.start, chunk.stop)
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
            self.restart.trace.branches.prepare(self.restart.layer, len(self.rows) * (self.steps - 1))

    def _check(self, start: int, end: int) -> None:
        """Hold tokens [start, end) of the drafts that are still followed against the model; sort by where they fail."""
        last = len(self.leaves)
        gone = int((self.leaves < start).sum())
        if gone == last:
            return
        first = self.prompt + start - 1 if start else 0
        choice, gap = self._pass(gone, last, first, self.prompt + end - 1, end - start)
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
                first, now = self.prompt + token - 1 if token else 0, self.prompt + token
                branched = None
                if self.restart:
                    rows, places = self.restart.rows[self.rows[:active]], [self.prompt + place for place in leaves]
                    known = self.text[:active, :now].cpu()
                    branched = self.restart.trace.branches.follow(rows.tolist(), places[:active], known)
                choice, gap = self._pass(0, active, first, now, 1, branched)
                self.text[:active, now] = choice[:, 0]
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

    def _pass(
        self, first: int, last: int, start: int, end: int, keep: int, branched: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Feed positions [start, end) of slots [first, last), in batches; the last `keep` choices and their gaps.

        A restarted layer is given what the trace holds or, for slots [0, last) that have left it, `branched`.
        """
        choices, gaps = [], []
        most = min(len(self.text), CHUNK * self.batch_rows)
        size = fitting_rows(self.checkpoint, self.batch_rows, end - start, keep, last - first, most)
        for low in range(first, last, size):
            high = min(low + size, last)
            base = min(low, len(self.text) - size)
            window = slice(base, base + size)
            self.cache.window, self.cache.written, self.cache.start = window, slice(low, high), start
            with ExitStack() as stack:
                rows = self.rows[window]
                if self.intervention:
                    stack.enter_context(self.intervention(Pass(rows.tolist(), start, self.prompt)))
                if self.restart and branched is None:
                    along = self.restart.along_the_trace(self.checkpoint, rows, end - start, self.cache)
                    stack.enter_context(along)
                elif self.restart and branched is not None:
                    resumed = branched[torch.arange(base, base + size, device=branched.device).clamp(max=last - 1)]
                    stack.enter_context(replaced(self.checkpoint.layers[: self.restart.layer], resumed))
                hidden = last_hidden(self.checkpoint, self.text[window, start:end], self.cache, keep)
            choice, gap = _choose(self.checkpoint.logits(part(hidden)) for part in self.checkpoint.unembedding)
            choices.append(choice[low - base : high - base].to(self.text.device))
            gaps.append(gap[low - base : high - base].to(self.text.device))
        return torch.cat(choices), torch.cat(gaps)


def _choose(slices: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """The best token at each position, the first of equal ones, and its lead over the second best; NaN if not finite.

    `slices` are the logits, (rows, positions, tokens) each of the tokens that follow the last one's; BLOCK divides the
    number of all but the last one's. They are many, and are read once: each block of a slice gives its greatest, and
    only that slice's best block is kept.
    """
    greatest: list[Tensor] = []
    places, winners = [], []
    for logits in slices:
        for blocks in _blocks(logits):
            most = blocks.amax(dim=-1)
            place = most.argmax(dim=-1, keepdim=True)
            winners.append(blocks.gather(-2, place[..., None].expand(*place.shape, BLOCK)).float())
            places.append(place + sum(part.shape[-1] for part in greatest))
            greatest.append(most)
        del logits, blocks  # else they would lie in memory while the next are made
    winner = torch.cat(winners, dim=-2)
    won = winner.amax(dim=-1).argmax(dim=-1, keepdim=True)
    block = torch.cat(places, dim=-1).gather(-1, won)
    winner = winner.gather(-2, won[..., None].expand(*won.shape, BLOCK)).squeeze(-2)
    place = winner.argmax(dim=-1, keepdim=True)
    best = winner.gather(-1, place)
    others = torch.cat(greatest, dim=-1).float().scatter(-1, block, -torch.inf).amax(dim=-1, keepdim=True)
    second = torch.maximum(others, winner.scatter(-1, place, -torch.inf).amax(dim=-1, keepdim=True))
    gap = (best - second).squeeze(-1)
    # Infinity would be lost among the smallest gaps, NaN is not.
    return (block * BLOCK + place).squeeze(-1), gap.where(gap.isfinite(), torch.nan)


def _blocks(logits: Tensor) -> Iterator[Tensor]:
    """Logits in blocks, (rows, positions, blocks, BLOCK); one that is not full by itself, filled up with -inf."""
    size = logits.shape[-1]
    whole = size - size % BLOCK
    if whole:
        yield logits[..., :whole].unflatten(-1, (-1, BLOCK))
    if whole < size:
        yield pad(logits[..., None, whole:], (0, whole + BLOCK - size), value=-torch.inf)
