"""What every measurement needs of a model: its logits, rows that are apart, the lens, greedy tokens."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.passes import forward, last_hidden
from recite.engine.proof.own import KEPT, PASSES, PROMPT, ROWS, STEPS, TOLERANCE, Checks, Own, same
from recite.engine.residuals import Unkept, run
from recite.kernels.key_values import KeyValues

APART = "a row's logits should be the same whatever rows lie beside it"


def _logits(checkpoint: Checkpoint, tokens: Tensor) -> Tensor:
    """The engine's logits of the last positions of each of PASSES."""
    cache, found = KeyValues(*tokens.shape), []
    for start, end in PASSES:
        cache.start = start
        hidden = last_hidden(checkpoint, tokens[:, start:end], cache, min(end - start, KEPT))
        found.append(checkpoint.logits(torch.cat([part(hidden) for part in checkpoint.unembedding], dim=-1)))
    return torch.cat(found, dim=1)


def _engine(checkpoint: Checkpoint, own: Own) -> str:
    places = [place for start, end in PASSES for place in range(max(start, end - KEPT), end)]
    if same(_logits(checkpoint, own.tokens), own.logits[:, places]):
        return ""
    return (
        "the engine's logits, with its attention, its keys and values and the scale and cap of the config, should be"
        " those of the unmodified model"
    )


def _own_rows(checkpoint: Checkpoint, own: Own) -> str:
    return "" if same(own.alone, own.logits) else APART


def _layers(checkpoint: Checkpoint, own: Own) -> str:
    """The engine runs the last layer over some positions alone, and cuts what it is given along them."""
    fed = own.tokens.shape[1]
    strange: list[list[int]] = []

    def see(module: nn.Module, arguments: Any, named: Any) -> None:
        tensors = (value for value in tree_leaves((arguments, named)) if isinstance(value, Tensor))
        strange.extend([*value.shape] for value in tensors if value.ndim > 1 and value.shape[1] != fed)

    with checkpoint.layers[-1].register_forward_pre_hook(see, with_kwargs=True):
        forward(checkpoint, own.tokens, Unkept(), 1)
    if checkpoint.architecture.own_attention or not strange:
        return ""
    return f"the last layer should be given tensors of (rows, positions, ...) alone, and is given one of {strange[0]}"


def _rows(checkpoint: Checkpoint, own: Own) -> str:
    together = _logits(checkpoint, own.tokens)
    alone = torch.cat([_logits(checkpoint, row[None]) for row in own.tokens])
    return "" if same(alone, together) else APART


def _lens(checkpoint: Checkpoint, own: Own) -> str:
    seen: dict[int, Tensor] = {}
    run(checkpoint, own.tokens, seen.__setitem__)
    if seen.keys() != set(range(len(checkpoint.layers))):
        return "every layer should be run once and in its place"
    hidden = checkpoint.final(seen[len(checkpoint.layers) - 1])
    logits = checkpoint.logits(torch.cat([part(hidden) for part in checkpoint.unembedding], dim=-1))
    if same(logits, own.logits):
        return ""
    return (
        f"the last layer's output through {checkpoint.architecture.final_norm}, "
        f"{checkpoint.architecture.unembedding}, scale and cap should be the logits"
    )


def _greedy(checkpoint: Checkpoint, own: Own) -> str:
    prompt, draft = own.tokens[:, :PROMPT].cpu(), own.generated.cpu()
    for given in (None, draft):
        found = continue_greedily(checkpoint, prompt, STEPS, ROWS, draft=given)
        clear = found.margin > TOLERANCE * own.logits.abs().max().cpu()
        if not torch.equal(found.tokens[clear], draft[clear]):
            return "greedy continuations should be those of `generate`"
    return ""


CHECKS: Checks = (
    ("the independence of rows", _own_rows),
    ("the forward pass", _engine),
    ("the decoder layer", _layers),
    ("the independence of rows", _rows),
    ("final norm and unembedding", _lens),
    ("the greedy continuation", _greedy),
)
"""What every measurement needs, in order; a check says in words what was expected, or nothing."""
