"""The proof that a decoder without a row in the architecture table is run right, on its own weights.

The unmodified model says what its logits and its greedy tokens are; the engine must find the same, and every part that
was found by structure must do what measurements take it for. What is not proved is refused by name.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from recite.checkpoints.architectures import Architecture
from recite.checkpoints.inspection import Inspected
from recite.checkpoints.loading import Checkpoint, load_model
from recite.checkpoints.shallow import shallow
from recite.engine.activations import trace
from recite.engine.branches import Restart
from recite.engine.continuation import Pass, continue_greedily
from recite.engine.interventions import HeadReplacement
from recite.engine.passes import check_length, forward, last_hidden
from recite.engine.residuals import Unkept, run
from recite.errors import ReciteError
from recite.kernels.key_values import KeyValues
from recite.kernels.packing import pack

ROWS, PROMPT, STEPS = 4, 12, 4
LENGTH = PROMPT + STEPS
PASSES = ((0, 8), (8, 9), (9, LENGTH))
"""Positions of the passes that are held against one pass of the model's own."""
KEPT = 3
"""Most positions of a pass whose logits are made."""
TOLERANCE = 1e-3
"""Largest difference, as a share of the largest number, that float32 may make."""
MOST_SHARED = 16
"""Most key/value heads of a layer that are tried."""


class Own(NamedTuple):
    """What the unmodified model makes of random rows.

    tokens: (rows, LENGTH) int64. logits: (rows, LENGTH, vocabulary). generated: (rows, STEPS), after PROMPT tokens.
    heads: of each layer, as far as the model says.
    """

    tokens: Tensor
    logits: Tensor
    generated: Tensor
    heads: list[int]


Checks = tuple[tuple[str, Callable[[Checkpoint, Own], str]], ...]


class _Refusal(NamedTuple):
    """Says what a part is not."""

    where: str
    architecture: Architecture

    def __call__(self, part: str, expected: str) -> ReciteError:
        return ReciteError(
            f"{self.where}: {part} of {self.architecture.model_class} cannot be proved: {expected}; name a checkpoint "
            "of another class, as its measurements would be wrong."
        )


def prove_checkpoint(found: Inspected) -> dict[str, Any]:
    """Prove a checkpoint by its first layers, and say what was proved, for its record; nothing for a row of the table.

    As many of its layers are loaded, in float32, as hold every kind of them. Raises as `prove` does.
    """
    if found.architecture.known:
        return {}
    few = shallow(found)
    model = load_model(few, torch.float32)
    missing = prove(model, found.architecture, str(found.where))
    layers = {"layers": few.config.num_hidden_layers, "of": found.config.num_hidden_layers}
    return {"proof": {**layers, "transformers": transformers.__version__, "without_heads": missing}}


def prove(model: PreTrainedModel, architecture: Architecture, where: str) -> str:
    """Prove the parts of a model in float32, as loaded and not yet packed; it is packed here.

    Returns why its heads are none that can be replaced, where only that is not proved; else nothing. Raises
    ReciteError that names the part which is not proved.
    """
    refusal = _Refusal(where, architecture)
    checkpoint = Checkpoint(model, architecture, "", 0, "float32")
    check_length(checkpoint, LENGTH)
    try:
        own = unmodified(model)
    except Exception as error:  # what a class's own code makes of its config and weights
        raise refusal("the unmodified model", f"it should run by itself, and stops ({_reason(error)})") from None
    pack(model, ROWS)
    failed = _failed(CHECKS, checkpoint, own)
    if failed:
        raise refusal(*failed)
    if not architecture.attention_output:
        return "no attention output projection is found in every layer"
    return " cannot be proved: ".join(_failed(OF_HEADS, checkpoint, own))


@torch.inference_mode()
def _failed(checks: Checks, checkpoint: Checkpoint, own: Own) -> tuple[str, str] | tuple[()]:
    """The first part that is not proved, and what was expected of it; nothing if all are."""
    for part, check in checks:
        try:
            expected = check(checkpoint, own)
        except Exception as error:  # by what a class's code asks of a cache, a layer or an input, anything
            expected = f"it should run in the engine, and stops ({_reason(error)})"
        if expected:
            return part, expected
    return ()


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300].rstrip(".")


@torch.inference_mode()
def unmodified(model: PreTrainedModel) -> Own:
    """What the model makes of random rows with the attention, the cache and the loop of `transformers`."""
    generator = torch.Generator().manual_seed(1)
    vocabulary = model.get_input_embeddings().num_embeddings
    tokens = torch.randint(0, vocabulary, (ROWS, LENGTH), generator=generator).to(model.device)
    before, settings = model.config._attn_implementation, model.generation_config
    greedy = GenerationConfig(do_sample=False, max_new_tokens=STEPS, pad_token_id=0, eos_token_id=None)
    model.set_attn_implementation("eager")
    model.generation_config = greedy
    try:
        output = model(input_ids=tokens, use_cache=False, output_attentions=True)
        heads = [weights.shape[1] for weights in output.attentions or () if weights is not None]
        mask = torch.ones_like(tokens[:, :PROMPT])
        generated = model.generate(tokens[:, :PROMPT], attention_mask=mask, generation_config=greedy)[:, PROMPT:]
    finally:
        model.generation_config = settings
        model.set_attn_implementation(before)
    return Own(tokens, output.logits, generated, heads)


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal but for rounding in float32."""
    return one.shape == other.shape and bool((one - other).abs().max() <= TOLERANCE * other.abs().max())


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
    return "the engine's logits, with its attention, its keys and values and the scale and cap of the config, should be"\
        " those of the unmodified model"


def _rows(checkpoint: Checkpoint, own: Own) -> str:
    together = _logits(checkpoint, own.tokens)
    alone = torch.cat([_logits(checkpoint, row[None]) for row in own.tokens])
    return "" if same(alone, together) else "a row's logits should be the same whatever rows lie beside it"


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


def _attention(checkpoint: Checkpoint, own: Own) -> str:
    """What attention hands on is the projection of its heads, and at most what does not depend on them."""
    for layer in range(len(checkpoint.layers)):
        attention, projection = checkpoint.attention(layer), checkpoint.attention_output(layer)
        found = []
        for factor in (1, 0):
            with ExitStack() as stack:
                stack.enter_context(_given(projection, lambda mixed, factor=factor: mixed * factor))
                outputs = [stack.enter_context(_output(module)) for module in (attention, projection)]
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
                f"in layer {layer} each of {shared} key/value heads should reach {heads // shared} of the {heads} heads "
                f"of width {checkpoint.head_width} at {path}, side by side, and no other"
            )
    return ""


def _heads_given(checkpoint: Checkpoint, tokens: Tensor, layer: int, nudge: float) -> tuple[int, Tensor]:
    """Key/value heads of a layer, and its heads' outputs where in row i of one text `nudge` is added to head i of them.

    The outputs are (rows, LENGTH, heads x width), a row for each key/value head up to MOST_SHARED.
    """
    cache = _Nudged(layer, nudge)
    rows = min(checkpoint.shared_heads, MOST_SHARED)
    with _input(checkpoint.attention_output(layer)) as mixed:
        forward(checkpoint, tokens[:1].expand(rows, -1), cache, 1)
    return cache.heads, mixed[0][: cache.heads]


def _replacement(checkpoint: Checkpoint, own: Own) -> str:
    rows = torch.arange(ROWS)
    for layer in range(len(checkpoint.layers)):
        with _input(checkpoint.attention_output(layer)) as mixed:
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


def _greedy(checkpoint: Checkpoint, own: Own) -> str:
    prompt, draft = own.tokens[:, :PROMPT].cpu(), own.generated.cpu()
    for given in (None, draft):
        found = continue_greedily(checkpoint, prompt, STEPS, ROWS, draft=given)
        clear = found.margin > TOLERANCE * own.logits.abs().max().cpu()
        if not torch.equal(found.tokens[clear], draft[clear]):
            return "greedy continuations should be those of `generate`"
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


CHECKS: Checks = (
    ("the forward pass", _engine),
    ("the independence of rows", _rows),
    ("final norm and unembedding", _lens),
    ("the greedy continuation", _greedy),
)
"""What every measurement needs, in order; a check says in words what was expected, or nothing."""
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


@contextmanager
def _given(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within the block the module is given what `change` makes of its input."""
    with module.register_forward_pre_hook(lambda _, arguments: (change(arguments[0]), *arguments[1:])):
        yield


@contextmanager
def _input(module: nn.Module) -> Iterator[list[Tensor]]:
    """Within the block what the module is given goes into the list."""
    seen: list[Tensor] = []
    with module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0])):
        yield seen


@contextmanager
def _output(module: nn.Module) -> Iterator[list[Tensor]]:
    """Within the block what the module hands on, the first of several, goes into the list."""
    seen: list[Tensor] = []

    def see(module: nn.Module, arguments: Any, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    with module.register_forward_hook(see):
        yield seen
