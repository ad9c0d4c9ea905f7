"""The proof that a decoder without a row in the architecture table is run right, on its own weights.

The unmodified model says what its logits and its greedy tokens are; the engine must find the same, and every part that
was found by structure must do what measurements take it for. What is not proved is refused by name.
"""

from typing import Any

import torch
import transformers
from transformers import PreTrainedModel
from transformers.utils import logging

from recite.checkpoints.architectures import Architecture
from recite.checkpoints.inspection import Inspected
from recite.checkpoints.loading import Checkpoint, load_model
from recite.checkpoints.shallow import shallow
from recite.engine.passes import check_length
from recite.engine.proof.heads import OF_HEADS
from recite.engine.proof.own import LENGTH, ROWS, Checks, Own, unmodified
from recite.engine.proof.sublayers import OF_SUBLAYERS
from recite.engine.proof.whole import CHECKS
from recite.errors import ReciteError
from recite.kernels.packing import pack


def prove_checkpoint(found: Inspected) -> dict[str, Any]:
    """Prove a checkpoint by its first layers, and say what was proved, for its record; nothing for a row of the table.

    As many of its layers are loaded, in float32, as hold every kind of them. Raises as `prove` does.
    """
    if found.architecture.known:
        return {}
    few, told = shallow(found), logging.get_verbosity()
    logging.set_verbosity_error()  # else all layers that are left out would be listed
    try:
        model = load_model(few, torch.float32).eval()
    finally:
        logging.set_verbosity(told)
    missing = prove(model, found.architecture, str(found.where))
    layers = {"layers": few.config.num_hidden_layers, "of": found.config.num_hidden_layers}
    return {"proof": {**layers, "transformers": transformers.__version__, **missing}}


def prove(model: PreTrainedModel, architecture: Architecture, where: str) -> dict[str, str]:
    """Prove the parts of a model in float32, as loaded and not yet packed; it is packed here.

    Returns why its heads, and why its sublayers, are none that can be replaced, where only that is not proved (see
    `recite.checkpoints.loading.UNPROVED`); else nothing of them. Raises ReciteError that names the part which is not
    proved.
    """
    checkpoint = Checkpoint(model, architecture, "", 0, "float32")
    check_length(checkpoint, LENGTH)
    try:
        own = unmodified(model)
    except Exception as error:  # what a class's own code makes of its config and weights
        expected = f"it should run by itself, and stops ({_reason(error)})"
        raise _unproved(where, architecture, "the unmodified model", expected) from None
    pack(model, ROWS)
    failed = _failed(CHECKS, checkpoint, own)
    if failed:
        raise _unproved(where, architecture, *failed)
    missing = "" if architecture.attention_output else "no attention output projection is found in every layer"
    no_mlp = "" if architecture.mlp_output else "no MLP is found in every layer"
    return {
        "without_heads": missing or _sentence(_failed(OF_HEADS, checkpoint, own)),
        "without_sublayers": missing or no_mlp or _sentence(_failed(OF_SUBLAYERS, checkpoint, own)),
    }


def _sentence(failed: tuple[str, str] | tuple[()]) -> str:
    return " cannot be proved: ".join(failed)


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


def _unproved(where: str, architecture: Architecture, part: str, expected: str) -> ReciteError:
    return ReciteError(
        f"{where}: {part} of {architecture.model_class} cannot be proved: {expected}; name a checkpoint of another "
        "class, as its measurements would be wrong."
    )


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:300].rstrip(".")
