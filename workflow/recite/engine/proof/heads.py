"""What measurements of heads need of a model beside that: where heads are, and that they can be replaced."""

from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.activations import trace
from recite.engine.branches import Restart
from recite.engine.continuation import Pass, continue_greedily
from recite.engine.interventions.heads import HeadReplacement
from recite.engine.passes import forward
from recite.engine.proof.hooks import given, input_of, output_of
from recite.engine.proof.own import LENGTH, MOST_SHARED, PROMPT, ROWS, STEPS, TOLERANCE, Checks, Own, same
from recite.engine.residuals import Unkept


def _attention(checkpoint: Checkpoint, own: Own) -> str:
    """What attention hands on is the projection of its heads, and at most what does not depend on them."""
    for layer in range(len(checkpoint.layers)):
        attention, projection = checkpoint.attention(layer), checkpoint.attention_output(layer)
        found = []
        for factor in (1, 0):
            with ExitStack() as stack:
                stack.enter_context(given(projection, partial(torch.mul, factor)))
                outputs = [stack.enter_context(output_of(module)) for module in (attention, projection)]
                forward(checkpoint, own.tokens, Unkept(), 1)
            found.append([output[0] for output in outputs])
        (all_, projected), (rest, bias) = found
        if not same(all_ - rest, projected - bias):
            return f"in layer {layer} the heads through {checkpoint.architecture.attention_output} should be its output"
    return ""


def _heads(checkpoint: Checkpoint, own: Own) -> str:
    """A value that is changed in one key/value head changes the outputs of the heads that share it, and no other."""
    heads, path = checkpoint.heads, checkpoint.architecture.attention_output
    if set(own.heads) != {heads}:
        return f"every layer should have {heads} heads, and the model has {own.heads}"
    for layer in range(len(checkpoint.layers)):
        shared, clean = _heads_given(checkpoint, own.tokens, layer, 0)
        if clean.shape[-1] != heads * checkpoint.head_width:
            return f"{path} should be given {heads} heads of width {checkpoint.head_width}, and is given {clean.shape}"
        if shared not in (checkpoint.shared_heads, 1):  # one where what is kept is what all heads are made of
            return f"layer {layer} should have {checkpoint.shared_heads} key/value heads, and hands on {shared}"
        _, nudged = _heads_given(checkpoint, own.tokens, layer, 1)
        changed = (clean != nudged).unflatten(-1, (heads, -1)).any(dim=-1).any(dim=1)
        expected = torch.arange(heads, device=changed.device) // (heads // shared)
        if not torch.equal(changed, expected == torch.arange(len(changed), device=changed.device)[:, None]):
            return (
                f"in layer {layer} each of {shared} key/value heads should reach {heads // shared} of the "
                f"{heads} heads of width {checkpoint.head_width} at {path}, side by side, and no other"
            )
    return ""


def _heads_given(checkpoint: Checkpoint, tokens: Tensor, layer: int, nudge: float) -> tuple[int, Tensor]:
    """Key/value heads of a layer, and its heads' outputs where in row i of one text `nudge` is added to head i of them.

    The outputs are (rows, LENGTH, heads x width), a row for each key/value head up to MOST_SHARED.
    """
    cache = _Nudged(layer, nudge)
    rows = min(checkpoint.heads, MOST_SHARED)
    with input_of(checkpoint.attention_output(layer)) as mixed:
        forward(checkpoint, tokens[:1].expand(rows, -1), cache, 1)
    return cache.heads, mixed[0][: cache.heads]


def _replacement(checkpoint: Checkpoint, own: Own) -> str:
    rows = torch.arange(ROWS)
    for layer in range(len(checkpoint.layers)):
        with input_of(checkpoint.attention_output(layer)) as mixed:
            clean = forward(checkpoint, own.tokens, Unkept(), LENGTH)
        for values, equal in ((mixed[0], True), (mixed[0] + 1, False)):
            replaced = HeadReplacement(checkpoint, layer, rows % checkpoint.heads, "resample", values, rows)
            with replaced(Pass(rows.tolist(), 0, LENGTH)):
                changed = forward(checkpoint, own.tokens, Unkept(), LENGTH)
            if torch.equal(changed, clean) != equal:
                return (
                    f"in layer {layer} a head's output replaced by itself should change no bit, and by another the "
                    "logits"
                )
    return ""


def _restart(checkpoint: Checkpoint, own: Own) -> str:
    """What is continued from a layer on is what is continued as a whole."""
    prompt, draft, rows = own.tokens[:, :PROMPT].cpu(), own.generated.cpu(), torch.arange(ROWS)
    traced = trace(checkpoint, prompt, draft, ROWS)
    for layer in reversed(range(len(checkpoint.layers))):
        zero = HeadReplacement(checkpoint, layer, rows % checkpoint.heads, "zero")
        found = [
            continue_greedily(checkpoint, prompt, STEPS, ROWS, draft=draft, intervention=zero, restart=restart)
            for restart in (None, Restart(traced, layer, rows))
        ]
        clear = torch.minimum(found[0].margin, found[1].margin) > TOLERANCE * own.logits.abs().max().cpu()
        if not torch.equal(found[0].tokens[clear], found[1].tokens[clear]):
            return f"a run without a head of layer {layer} that begins there should be one that begins below"
        if not same(found[1].margin[clear], found[0].margin[clear]):
            return f"a run without a head of layer {layer} that begins there should lead by what a whole one does"
    return ""


OF_HEADS: Checks = (
    ("the attention output projection", _attention),
    ("heads and their width", _heads),
    ("the replacement of heads", _replacement),
    ("the restart at a layer", _restart),
)
"""What measurements of heads need beside that."""


class _Nudged(Unkept):
    """Hands on values of one layer with `nudge` added to head i in row i."""

    def __init__(self, layer: int, nudge: float) -> None:
        super().__init__()
        self.layer, self.nudge, self.heads = layer, nudge, 0

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if layer == self.layer:
            self.heads, value = value.shape[1], value.clone()
            rows = torch.arange(min(len(value), self.heads), device=value.device)
            value[rows, rows] += self.nudge * torch.linspace(1, 2, value.shape[-1], device=value.device)
        return key, value
