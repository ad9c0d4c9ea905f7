"""What measurements of sublayers and neurons need of a model: that attention and MLP are all of a layer."""

from contextlib import ExitStack

import torch

from recite.checkpoints.loading import Checkpoint, Sublayer
from recite.engine.continuation import Pass
from recite.engine.interventions.sublayers import SublayerReplacement
from recite.engine.passes import forward
from recite.engine.proof.hooks import input_of, output_of
from recite.engine.proof.own import LENGTH, ROWS, Checks, Own, same
from recite.engine.residuals import Unkept

SUBLAYERS: tuple[Sublayer, ...] = ("attention", "mlp")


def _zeroed(checkpoint: Checkpoint, own: Own) -> str:
    """Without both of them a layer adds to what it is given at most what does not depend on it."""
    for layer, module in enumerate(checkpoint.layers):
        with ExitStack() as stack:
            for name in SUBLAYERS:
                replacement = SublayerReplacement(checkpoint, layer, name, "zero")
                stack.enter_context(replacement(Pass([*range(ROWS)], 0, LENGTH)))
            outputs = [stack.enter_context(output_of(checkpoint.sublayer(layer, name))) for name in SUBLAYERS]
            given, handed_on = stack.enter_context(input_of(module)), stack.enter_context(output_of(module))
            forward(checkpoint, own.tokens, Unkept(), 1)
        added = handed_on[0] - given[0]
        wide = all(output[0].shape[-1] == added.shape[-1] for output in outputs)
        if not wide or not same(given[0] + added[:1, :1], handed_on[0]):
            return (
                f"layer {layer} should add to the residual stream what {checkpoint.architecture.attention_output} and "
                f"{checkpoint.architecture.mlp_output} hand on, and nothing else"
            )
    return ""


def _replaced(checkpoint: Checkpoint, own: Own) -> str:
    rows = torch.arange(ROWS)
    clean = forward(checkpoint, own.tokens, Unkept(), LENGTH)
    for layer in range(len(checkpoint.layers)):
        for name in SUBLAYERS:
            with output_of(checkpoint.sublayer(layer, name)) as outputs:
                forward(checkpoint, own.tokens, Unkept(), 1)
            itself = outputs[0].view(ROWS, LENGTH, -1)
            for values, equal in ((itself, True), (itself + itself.flip(1) + 1, False)):
                replacement = SublayerReplacement(checkpoint, layer, name, "resample", values, rows)
                with replacement(Pass(rows.tolist(), 0, LENGTH)):
                    changed = forward(checkpoint, own.tokens, Unkept(), LENGTH)
                if torch.equal(changed, clean) != equal:
                    return (
                        f"in layer {layer} the output of the {name} replaced by itself should change no bit, and by "
                        "another the logits"
                    )
    return ""


OF_SUBLAYERS: Checks = (
    ("the sublayers", _zeroed),
    ("the replacement of sublayers", _replaced),
)
"""What measurements of sublayers and neurons need beside that."""
