"""Rotary position embeddings of a class without a row: what its config took from a config.json, and how it turns.

The class itself brings what config.json says into its `rope_parameters`. All that was said must be there, and every
table of frequencies of the model must be what the formulas of `recite.checkpoints.rotary` make of one set of these.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig

from recite.checkpoints.rotary import OPTIONS, SETS, SHARE, THETA, TOLERANCE, TRAINED, frequencies
from recite.errors import ReciteError

LOCAL = ("rope_local_base_freq", "local_rope_theta", "swa_rope_theta")
"""Keys of config.json for the layers with a window."""


def heard(raw: Mapping[str, Any], config: PretrainedConfig, where: str) -> dict[str, Any] | None:
    """The rotary parameters of a config, flat or by type of layer; None for a class that turns no positions by them.

    Raises ReciteError for one that config.json names and the class did not take.
    """
    taken = getattr(config, "rope_parameters", None)
    if not isinstance(taken, dict) or not taken:
        return None
    sets = list(parameter_sets(taken))
    for key, value in _said(raw):
        name = "rope_theta" if key in (*THETA, *LOCAL) else "partial_rotary_factor" if key in SHARE else key
        name = "rope_type" if name == "type" else name
        if value is not None and not any(found.get(name, value) == value for found in sets):
            raise ReciteError(
                f"{where} says {key} {value!r} of rotary embeddings, which {type(config).__name__} takes as "
                f"{sets[0].get(name)!r}; name another checkpoint, or correct it."
            )
    return taken


def _said(raw: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((key, raw[key]) for key in (*THETA, *SHARE, *LOCAL) if key in raw)
    for key in SETS:
        for found in parameter_sets(raw.get(key) or {}):
            yield from found.items()


def parameter_sets(parameters: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The sets of parameters of a flat one, or of one by type of layer."""
    nested: list[Mapping[str, Any]] = [value for value in parameters.values() if isinstance(value, dict)]
    yield from nested or (parameters,)


def check_turns(parameters: Mapping[str, Any], model: nn.Module, where: str) -> None:
    """Hold every table of frequencies of a model against its rotary parameters."""
    sets = list(parameter_sets(parameters))
    for found in sets:
        if found.get("rope_type", "default") not in OPTIONS:
            raise ReciteError(
                f"{where}: rotary embeddings of type {found['rope_type']!r} cannot be computed here (known: "
                f"{', '.join(OPTIONS)}); name another checkpoint."
            )
    positions = getattr(model.config, "max_position_embeddings", 0)
    for module in model.modules():
        for name, table in module.named_buffers(recurse=False):
            if not name.endswith("inv_freq") or name.endswith("original_inv_freq"):
                continue
            scaling = getattr(module, f"{name.removesuffix('inv_freq')}attention_scaling", 1.0)
            if not any(_agrees(found, table.double().cpu(), scaling, positions) for found in sets):
                raise ReciteError(
                    f"{where}: {type(model).__name__} does not turn positions by {dict(parameters)}, as it says; "
                    "name another checkpoint."
                )


def _agrees(parameters: Mapping[str, Any], table: torch.Tensor, scaling: float, positions: int) -> bool:
    """Whether a table (pairs,) is that of one set of parameters; the pairs are those that the class turns."""
    own = {"rope_type": "default", **parameters, "partial_rotary_factor": 1.0}
    own = {key: value for key, value in own.items() if value is not None or key == TRAINED}
    if own.get(TRAINED, 0) is None:
        own[TRAINED] = positions
    expected, by = frequencies(own, 2 * len(table), positions)
    same = expected.shape == table.shape and torch.allclose(table, expected, rtol=TOLERANCE, atol=0)
    return same and abs(scaling - by) <= TOLERANCE * by
