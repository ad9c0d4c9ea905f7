"""What a checkpoint is, from its config and the headers of its files, held against each other; no weight is read."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from accelerate import init_empty_weights

from recite.checkpoints.architectures import Architecture, architecture_of
from recite.checkpoints.config_keys import check_keys, check_numbers, no_config
from recite.checkpoints.gguf_header import as_config, check_gguf, read_header
from recite.checkpoints.rotary import KEYS, check_rotary, frequencies, rotary_parameters
from recite.checkpoints.structure import found_parts, no_part
from recite.checkpoints.turns import check_turns, heard
from recite.checkpoints.weight_files import Stored, broken, check_tensors, stored_frequencies, stored_tensors
from recite.errors import ReciteError
from recite.sources.facts import read_config

HALF = 2.0**-7
"""Relative error of frequencies that were stored in half precision."""


class Inspected(NamedTuple):
    """A checkpoint that may be loaded.

    empty: its model without weights. place: what names its weights to `from_pretrained`. stored: the tensors of its
    safetensors; none of a GGUF file. rotary: its rotary parameters, or None for a class without. where: its config.json
    or GGUF file. layers: how many it has in its files.
    """

    config: transformers.PretrainedConfig
    architecture: Architecture
    empty: transformers.PreTrainedModel
    place: dict[str, Any]
    stored: dict[str, Stored]
    rotary: dict[str, Any] | None
    where: Path
    layers: int

    def check_rotary(self, model: transformers.PreTrainedModel) -> None:
        """Refuse a model that does not turn positions as this checkpoint says."""
        if self.rotary is not None and not self.architecture.known:
            check_turns(self.rotary, model, str(self.where))
        elif self.rotary is not None:
            positions = self.config.max_position_embeddings
            check_rotary(self.rotary, model, head_width(self.config), positions, str(self.where))


def head_width(config: transformers.PretrainedConfig) -> int:
    """Width of a head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def inspect(path: Path) -> Inspected:
    """Open a checkpoint on disk, a folder of safetensors or a GGUF file.

    Raises ReciteError for what is no checkpoint, none that can be run, or one of which a file is not there or not
    whole, or of which something would be lost in loading.
    """
    if path.suffix == ".gguf":
        header = read_header(path)
        place: dict[str, Any] = {"pretrained_model_name_or_path": path.parent, "gguf_file": str(path.resolve())}
        found = _built(as_config(header, path), path, place, {})
        check_gguf(header, found.empty, path)
    else:
        raw = _raw_config(path)
        stored = stored_tensors(path)
        place = {"pretrained_model_name_or_path": path, "local_files_only": True, "use_safetensors": True}
        found = _built(raw, path / "config.json", place, stored)
        check_tensors(path, stored, found.empty)
        _check_stored_frequencies(found, path)
    found.check_rotary(found.empty)
    return found


def _raw_config(path: Path) -> dict[str, Any]:
    """The config.json of a folder."""
    raw = read_config(path)
    if raw.get("quantization_config") is not None:
        raise ReciteError(f"{path} holds quantized weights; name the checkpoint that they were made from.")
    if (path / "adapter_config.json").exists():
        raise ReciteError(
            f"{path} holds an adapter (adapter_config.json), which is not applied; merge it into the weights, or take "
            "it away."
        )
    return raw


def make_config(
    raw: Mapping[str, Any], where: str
) -> tuple[transformers.PretrainedConfig, Architecture, dict[str, Any] | None]:
    """What a config.json says, as the config of its class, its row of the table and its rotary parameters if any."""
    architecture = architecture_of(raw.get("model_type", "none"))
    model_class = getattr(transformers, architecture.model_class)
    if model_class._is_stateful:
        raise no_part(
            where, architecture, "layers that hand on keys and values alone", "layers with a state of their own"
        )
    config_class = model_class.config_class
    rotary, settings = None, dict(raw)
    try:
        if architecture.known and hasattr(config_class, "rope_parameters"):
            rotary = rotary_parameters(raw, config_class, where)
            settings = {key: value for key, value in raw.items() if key not in KEYS} | {"rope_parameters": rotary}
        config = config_class.from_dict(deepcopy(settings))
        if not architecture.known:
            rotary = heard(raw, config, where)
        check_numbers(config, architecture, where)
        check_keys(raw, config, architecture, where)
    except ReciteError:
        raise
    except Exception as error:  # by which value it is, a class refuses a config in many ways
        raise no_config(where, architecture, _reason(error)) from None
    return config, architecture, rotary


def _built(raw: Mapping[str, Any], where: Path, place: dict[str, Any], stored: dict[str, Stored]) -> Inspected:
    """A checkpoint by what its config.json says, with its empty model."""
    config, architecture, rotary = make_config(raw, str(where))
    try:
        empty = empty_model(config, architecture)
    except Exception as error:  # as above
        raise no_config(str(where), architecture, _reason(error)) from None
    architecture = found_parts(architecture, empty, str(where))
    return Inspected(config, architecture, empty, place, stored, rotary, where, config.num_hidden_layers)


def empty_model(config: transformers.PretrainedConfig, architecture: Architecture) -> transformers.PreTrainedModel:
    """The model of a config, without weights."""
    with init_empty_weights():
        model: transformers.PreTrainedModel = getattr(transformers, architecture.model_class)(config)
    model.tie_weights()
    return model


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_stored_frequencies(found: Inspected, path: Path) -> None:
    """Refuse weights that were made with other rotary frequencies than their config says; they carry a table of them.

    Where positions were scaled, the table may be that of the unscaled ones.
    """
    for name, turned in stored_frequencies(found.stored).items():
        if found.rotary is None or "full_attention" in found.rotary:
            raise broken(path, f"its config has no place for tensors {[name]}")
        for parameters in (found.rotary, {**found.rotary, "rope_type": "default"}):
            expected, _ = frequencies(parameters, head_width(found.config), found.config.max_position_embeddings)
            if turned.shape == expected.shape and torch.allclose(turned.double(), expected, HALF, 1e-7):
                break
        else:
            raise ReciteError(
                f"{path}: {name} is not what config.json says of rotary embeddings ({found.rotary}); correct that."
            )
