"""Rotary position embeddings: what a config.json says of them, and whether the model that was built turns by that.

config.json says it in many forms, by top-level keys or in `rope_scaling` or `rope_parameters`, flat or by type of
layer. All are brought into the last one, from which the model is built; the frequencies that it then has are held
against those computed here from the formulas of their sources.
"""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from recite.errors import ReciteError

SETS = ("rope_parameters", "rope_scaling")
THETA = ("rope_theta", "rotary_emb_base")
SHARE = ("partial_rotary_factor", "rotary_pct")
TRAINED = "original_max_position_embeddings"
KEYS = frozenset((*SETS, *THETA, *SHARE, TRAINED))
"""Keys of config.json that say how positions are turned."""
SCALED, PLAIN = "full_attention", "sliding_attention"
"""Types of layers; where config.json names one set for both, only layers of full attention are scaled (Olmo 3)."""
COMMON = {"rope_type", "rope_theta", "partial_rotary_factor"}


class Options(NamedTuple):
    """Keys of a type of scaling: those that it needs, and those that have a default."""

    needed: set[str]
    optional: set[str]


OPTIONS = {
    "default": Options(set(), set()),
    "linear": Options({"factor"}, set()),
    "dynamic": Options({"factor"}, set()),
    "llama3": Options({"factor", "low_freq_factor", "high_freq_factor", TRAINED}, set()),
    "yarn": Options(
        {TRAINED}, {"factor", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"}
    ),
    "longrope": Options({"short_factor", "long_factor", TRAINED}, {"factor", "attention_factor"}),
}
"""The types of scaling that are computed here."""
NEUTRAL = {"factor": 1, "finetuned": True}
"""Keys of other types that change nothing at these values."""
SHARE_OF_NEOX = 0.25
"""Share of a head that GPT-NeoX turns unless its config.json says otherwise."""
TOLERANCE = 1e-5
"""Relative error of frequencies in float32."""


def rotary_parameters(raw: Mapping[str, Any], config_class: type[PretrainedConfig], where: str) -> dict[str, Any]:
    """The rotary parameters of a config.json in one form: by type of layer where the class has types, else flat.

    Raises ReciteError for keys that contradict each other, and for what cannot be computed here.
    """
    typed = any(field.name == "layer_types" for field in fields(config_class))
    named = {key: _without_nulls(raw[key], key, where) for key in SETS if raw.get(key)}
    if len({str(sorted(found.items())) for found in named.values()}) > 1:
        raise ReciteError(f"{where} has rope_parameters and another rope_scaling; keep the one that holds.")
    found = next(iter(named.values()), {})
    nested = {SCALED, PLAIN} & found.keys()
    if not nested:
        plain = {key: found[key] for key in ("rope_theta", "partial_rotary_factor") if key in found}
        found = {SCALED: found, PLAIN: plain} if typed else found
    elif not typed or nested != found.keys():
        odd = sorted(found.keys() - nested) if typed else sorted(nested)
        raise ReciteError(f"{where}: rope_parameters.{odd[0]} has no place in {config_class.__name__}; correct it.")
    if not typed:
        return _filled(found, raw, config_class, where)
    return {kind: _filled(found.get(kind, {}), raw, config_class, where) for kind in (SCALED, PLAIN)}


def _without_nulls(parameters: Any, key: str, where: str) -> dict[str, Any]:
    """A set of parameters without those that are null; one of a type of layer that is null would mean no rotation."""
    if not isinstance(parameters, dict) or any(parameters.get(kind, {}) is None for kind in (SCALED, PLAIN)):
        raise ReciteError(f"{where}: {key} {parameters!r} is not understood; correct it.")
    return {
        name: _without_nulls(value, f"{key}.{name}", where) if name in (SCALED, PLAIN) else value
        for name, value in parameters.items()
        if value is not None
    }


def _filled(
    found: Mapping[str, Any], raw: Mapping[str, Any], config_class: type[PretrainedConfig], where: str
) -> dict[str, Any]:
    """One set of parameters with what the top level of config.json and the class add to it."""
    share = SHARE_OF_NEOX if config_class.model_type == "gpt_neox" else 1.0
    kind = _agreed(found, {}, ("rope_type", "type"), "default", where)
    if kind not in OPTIONS:
        raise ReciteError(
            f"{where}: rotary embeddings of type {kind!r} cannot be computed here (known: {', '.join(OPTIONS)}); "
            "name another checkpoint."
        )
    rest = {key: value for key, value in found.items() if key not in {"type", *KEYS, *COMMON}}
    parameters = rest | {
        "rope_type": kind,
        "rope_theta": _agreed(found, raw, THETA, config_class.default_theta, where),
        "partial_rotary_factor": _agreed(found, raw, SHARE, share, where),
    }
    longest = raw.get("max_position_embeddings")
    if TRAINED in OPTIONS[kind].needed or (kind == "dynamic" and found.get(TRAINED, longest) != longest):
        parameters[TRAINED] = _agreed(found, raw, (TRAINED,), longest, where)
    return _understood(parameters, where)


def _agreed(found: Mapping[str, Any], raw: Mapping[str, Any], keys: tuple[str, ...], default: Any, where: str) -> Any:
    """What a set of parameters or the top level says by one of `keys`; they must not say different things."""
    said = [(key, place[key]) for place in (found, raw) for key in keys if place.get(key) is not None]
    if any(value != said[0][1] for _, value in said[1:]):
        words = ", ".join(f"{key} {value!r}" for key, value in said)
        raise ReciteError(f"{where} contradicts itself ({words}); keep the one that holds.")
    return said[0][1] if said else default


def _understood(parameters: dict[str, Any], where: str) -> dict[str, Any]:
    """The parameters without those that change nothing; refuses what the type has no place for, or lacks."""
    kind = parameters["rope_type"]
    needed, optional = OPTIONS[kind]
    for key in sorted(parameters.keys() - COMMON - needed - optional):
        if parameters[key] != NEUTRAL.get(key):
            raise ReciteError(
                f"{where}: rotary embeddings of type {kind!r} have no place for {key} {parameters[key]!r}; correct it."
            )
        del parameters[key]
    for key in sorted((COMMON | needed | parameters.keys()) - {"rope_type", "truncate"}):
        value: Any = parameters.get(key)
        amounts: list[Any] = value if isinstance(value, list) and key in ("short_factor", "long_factor") else [value]
        if not all(type(amount) in (int, float) and 0 < amount < math.inf for amount in amounts):
            raise ReciteError(
                f"{where}: {key} of its rotary embeddings is {value!r} and not a number above 0; correct it."
            )
    return parameters


def frequencies(parameters: Mapping[str, Any], width: int, positions: int) -> tuple[Tensor, float]:
    """Radians a position of each turned pair of a head, (pairs,) float64, and what cosines and sines are scaled by.

    `width` is that of a head, `positions` are `max_position_embeddings`, which no row is longer than.
    """
    turned = int(width * parameters["partial_rotary_factor"])
    theta = parameters["rope_theta"]
    plain = theta ** -(torch.arange(0, turned, 2, dtype=torch.float64) / turned)
    kind, trained = parameters["rope_type"], parameters.get(TRAINED, positions)
    factor = parameters.get("factor", positions / trained)
    if kind == "linear":
        return plain / factor, 1.0
    if kind == "llama3":
        return _by_wavelength(plain, parameters), 1.0
    if kind == "yarn":
        return _interpolated(plain, parameters, factor, turned), _yarn_scaling(parameters, factor)
    if kind == "longrope":
        scaling = math.sqrt(1 + math.log(factor) / math.log(trained)) if factor > 1 else 1.0
        short = torch.tensor(parameters["short_factor"], dtype=torch.float64)
        return plain / short, parameters.get("attention_factor", scaling)
    return plain, 1.0  # dynamic scaling begins behind max_position_embeddings


def _by_wavelength(plain: Tensor, parameters: Mapping[str, Any]) -> Tensor:
    """Llama 3.1 (`apply_scaling` of its own code): long waves are slowed down, short ones kept, in between blended."""
    low, high = parameters["low_freq_factor"], parameters["high_freq_factor"]
    turns = parameters[TRAINED] * plain / (2 * math.pi)
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return kept * plain + (1 - kept) * plain / parameters["factor"]


def _interpolated(plain: Tensor, parameters: Mapping[str, Any], factor: float, turned: int) -> Tensor:
    """YaRN (arXiv:2309.00071, section 3.2): a pair is slowed down by how few turns it makes in a row of training."""
    trained, theta = parameters[TRAINED], parameters["rope_theta"]

    def pair(turns: float) -> float:
        return turned * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(theta))

    first, last = pair(parameters.get("beta_fast", 32)), pair(parameters.get("beta_slow", 1))
    if parameters.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, turned - 1)
    slowed = ((torch.arange(len(plain)) - first) / max(last - first, 0.001)).clamp(0, 1)
    return (1 - slowed) * plain + slowed * plain / factor


def _yarn_scaling(parameters: Mapping[str, Any], factor: float) -> float:
    """What YaRN scales cosines and sines by: its section 3.3, or what DeepSeek's `mscale` makes of that."""

    def scaling(share: float) -> float:
        return 0.1 * share * math.log(factor) + 1 if factor > 1 else 1.0

    both = [parameters.get(key) for key in ("mscale", "mscale_all_dim")]
    default = scaling(both[0]) / scaling(both[1]) if both[0] and both[1] else scaling(1)
    return float(parameters.get("attention_factor", default))


def check_rotary(parameters: Mapping[str, Any], model: nn.Module, width: int, positions: int, where: str) -> None:
    """Hold the frequencies of a model, by their buffers, against those of its rotary parameters."""
    found = {
        (module, name.removesuffix("inv_freq"))
        for module in model.modules()
        for name, _ in module.named_buffers(recurse=False)
        if name.endswith("inv_freq") and not name.endswith("original_inv_freq")
    }
    for module, prefix in found:
        own = parameters[prefix.rstrip("_")] if prefix else parameters
        places = (int(width * own["partial_rotary_factor"]) + 1) // 2 * 2  # in pairs
        if not 0 < places <= width:
            raise ReciteError(f"{where}: its rotary embeddings turn {places} places of a head of {width}; correct it.")
        expected, scaling = frequencies(own, width, positions)
        turned = getattr(module, f"{prefix}inv_freq").double().cpu()
        same = turned.shape == expected.shape and torch.allclose(turned, expected, rtol=TOLERANCE, atol=0)
        if not same or not math.isclose(getattr(module, f"{prefix}attention_scaling"), scaling, rel_tol=TOLERANCE):
            raise ReciteError(
                f"{where}: {type(model).__name__} does not turn positions by {dict(own)}, as it says; "
                "name another checkpoint."
            )
    if not found:
        raise ReciteError(f"{where}: {type(model).__name__} does not turn positions; name another checkpoint.")
