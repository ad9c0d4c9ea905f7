"""Loading a checkpoint folder: safetensors only, no code from the folder, a sentence for what is wrong."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
from torch import nn
from transformers.utils import logging

from recite.architectures import Architecture, architecture_of
from recite.errors import ReciteError
from recite.files import read_json, sha256_file

BUFFERS = ("inv_freq", "masked_bias", "attention.bias")
"""Ends of the names of tables that older checkpoints carry and that are computed today."""
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


class Checkpoint(NamedTuple):
    """A loaded model, its row of the architecture table, and what names its weights."""

    model: transformers.PreTrainedModel
    architecture: Architecture
    weights_sha256: str
    parameters: int

    @property
    def layers(self) -> nn.ModuleList:
        """The decoder layers."""
        module = self.model.get_submodule(self.architecture.layers)
        assert isinstance(module, nn.ModuleList)
        return module


def load_checkpoint(folder: Path, dtype: str) -> Checkpoint:
    """Load a Hugging Face checkpoint folder for inference, in `dtype` (float32, bfloat16, float16).

    Raises ReciteError if the folder lacks a config or weights, if the weights are damaged or do not
    fit the config, or if the architecture is not in the table.
    """
    if not (folder / "config.json").is_file():
        raise ReciteError(f"{folder} is not a checkpoint folder: it has no config.json; name another or make it again.")
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None:
        raise ReciteError(f"{folder} has no weights (model.safetensors); make or fetch the checkpoint again.")
    architecture = architecture_of(read_json(folder / "config.json").get("model_type", "none"))
    model_class = getattr(transformers, architecture.model_class)
    logging.disable_progress_bar()
    try:
        model, report = model_class.from_pretrained(
            folder, dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, RuntimeError, ValueError, json.JSONDecodeError) as error:
        raise ReciteError(_broken(folder, str(error).splitlines()[0])) from None
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise ReciteError(_broken(folder, str(error))) from None
    if report["missing_keys"] or report["mismatched_keys"]:
        raise ReciteError(_broken(folder, f"not all tensors are there: {sorted(report['missing_keys'])[:3]}"))
    foreign = sorted(key for key in report["unexpected_keys"] if not key.endswith(BUFFERS))
    if foreign:
        raise ReciteError(_broken(folder, f"its config has no place for tensors {foreign[:3]}"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Checkpoint(model.eval(), architecture, _weights_digest(folder), parameters)


def _broken(folder: Path, why: str) -> str:
    return f"the weights of {folder} cannot be loaded ({why}); make or fetch the checkpoint again."


def _weights_digest(folder: Path) -> str:
    """SHA-256 of the weights file; of the files' digests, in name order, where there are several."""
    files = sorted(folder.glob("*.safetensors"))
    digests = [sha256_file(path) for path in files]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
