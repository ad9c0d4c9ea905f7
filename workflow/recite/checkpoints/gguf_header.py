"""What a GGUF file says of its model, and whether all of it is heard when `transformers` loads it.

The loader of `transformers` reads the keys and tensors that it knows and drops the others without a word.
"""

import math
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import gguf
import numpy as np
from gguf import GGUFReader, GGUFValueType
from transformers import PreTrainedModel
from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
from transformers.modeling_gguf_pytorch_utils import TensorProcessor, get_gguf_hf_weights_map

from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.weight_files import broken
from recite.errors import ReciteError
from recite.sources.gguf_keys import FORMATS
from recite.sources.pointers import refuse_pointer

CONFIG_NAMES = cast(dict[str, dict[str, str | None]], GGUF_CONFIG_MAPPING)
"""Class -> keys of its GGUF files and what `transformers` calls them."""
LIKE_LLAMA = frozenset({"qwen2", "qwen3"})
"""Classes without a row whose files have the keys of Llama's."""
READABLE = sorted(({row.model_type for row in ARCHITECTURES.values()} | LIKE_LLAMA) & CONFIG_NAMES.keys())
"""Classes whose GGUF files are loaded right by `transformers`."""
DESCRIPTIVE = ("GGUF", "general", "tokenizer", "quantize", "imatrix", "split")
"""First parts of keys that say nothing of what the model computes."""
NEEDED = (
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.layer_norm_rms_epsilon",
)
"""Keys that `transformers` replaces by a default, or, without the key/value heads, leaves heads in GGUF's order."""
HARMLESS = ("tensor_data_layout", "rope.scaling.original_context_length", "rope.scaling.finetuned")
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "rope.scaling.type": ("none",),
    "rope.scaling.factor": (0, 1),
    "rope.scaling.attn_factor": (1,),
    "rope.scale_linear": (0, 1),
    "attention.causal": (True,),
    "attention.clamp_kqv": (0,),
    "attention.max_alibi_bias": (0,),
    "attention.sliding_window": (0,),
    "attention.scale": (0,),
    "use_parallel_residual": (False,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "logit_scale": (0, 1),
    "embedding_scale": (0, 1),
    "residual_scale": (0, 1),
    "pooling_type": (0,),
}
"""Values of keys of a model's class that change nothing, in llama.cpp's reading."""
# `transformers` has this table of names made for every module of a model: 20 ms each, 400 modules in a small one.
gguf.get_tensor_name_map = cache(gguf.get_tensor_name_map)

LONG = 4096
"""Numbers of a list that has one for every token; what says something of a layer has fewer."""
SIZES = {kind: struct.calcsize(f"<{form}") for kind, form in FORMATS.items()}


class GgufHeader(NamedTuple):
    """Keys of a file with their values; its tensors, not yet unpacked; its tokens, if any.

    Values are None for lists of texts and for long ones of numbers.
    """

    keys: dict[str, Any]
    tensors: dict[str, gguf.ReaderTensor]
    tokens: int | None


class _Reader(GGUFReader):
    """A reader that steps over lists of texts, and long ones of numbers, which for a vocabulary take half a minute."""

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[GGUFValueType]]:
        kind, start = self._get(orig_offs, np.uint32), orig_offs + 12
        size = SIZES.get(int(kind[0])) if raw_type == GGUFValueType.ARRAY else None
        if size is not None and (count := self._get(orig_offs + 4, np.uint64))[0] > LONG:
            return 12 + int(count[0]) * size, [kind, count], [], [GGUFValueType.ARRAY, GGUFValueType(int(kind[0]))]
        if raw_type != GGUFValueType.ARRAY or kind[0] != GGUFValueType.STRING:
            found: tuple[int, list[Any], list[int], list[GGUFValueType]] = super()._get_field_parts(orig_offs, raw_type)
            return found
        length = struct.Struct(">Q" if self.byte_order == "S" else "<Q")
        count, end, content = self._get(orig_offs + 4, np.uint64), start, self.data.data
        for _ in range(int(count[0])):
            end += length.size + length.unpack_from(content, end)[0]
        return end - orig_offs, [kind, count], [], [GGUFValueType.ARRAY, GGUFValueType.STRING]


def read_header(path: Path) -> GgufHeader:
    """The header of a GGUF file; ReciteError for one that is damaged, one of several, or of a class not read here."""
    if not path.is_file():
        raise ReciteError(f"{path} is not there; put the GGUF file there, or name another.")
    refuse_pointer(path)
    try:
        reader = _Reader(path)
        keys = {name: field.contents() if field.data else None for name, field in reader.fields.items()}
        vocabulary = reader.get_field("tokenizer.ggml.tokens")
        header = GgufHeader(
            keys, {tensor.name: tensor for tensor in reader.tensors}, vocabulary and int(vocabulary.parts[-1][0])
        )
    except Exception as error:  # whatever bytes that are no GGUF make of numbers and texts
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ReciteError(f"{path} cannot be read as a GGUF file ({reason}); fetch or convert it again.") from None
    kind, parts = keys.get("general.type") or "model", keys.get("split.count") or 1
    if kind != "model" or parts > 1:
        what = f"one part of {parts}" if parts > 1 else f"a {kind!r} and not a model"
        raise ReciteError(f"{path} is {what}; name a whole model in one GGUF file, or the folder of its safetensors.")
    if keys.get("general.architecture") not in READABLE:
        raise unreadable(path, f"its class is {keys.get('general.architecture')!r}, not {' or '.join(READABLE)}")
    return header


def unreadable(path: Path, why: str) -> ReciteError:
    """The error for a GGUF file that is whole, but of a kind that is not read right."""
    return ReciteError(
        f"{path} cannot be read from GGUF as the model that it is ({why}); name the folder of the checkpoint's "
        "safetensors instead."
    )


def as_config(header: GgufHeader, path: Path) -> dict[str, Any]:
    """What a config.json would say; ReciteError names a key that would not be heard."""
    model_type = header.keys["general.architecture"]
    own = {key.removeprefix(f"{model_type}."): value for key, value in header.keys.items()}
    listed = [key for key, value in header.keys.items() if key.startswith(f"{model_type}.") and isinstance(value, list)]
    if listed:
        raise unreadable(path, f"{listed[0]} has several values")
    absent = [name for name in NEEDED if not isinstance(own.get(name), int | float) or not own[name]]
    if absent:
        raise unreadable(path, f"it has no {model_type}.{absent[0]}")
    names = {key: name for key, name in CONFIG_NAMES[model_type].items() if name not in (None, "head_dim")}
    for key in header.keys:
        short = key.removeprefix(f"{model_type}.")
        known = key.split(".")[0] in DESCRIPTIVE or short in names or short in HARMLESS
        if not known and not _changes_nothing(short, own):
            raise unreadable(path, f"{key} {own[short]!r} is not heeded")
    config = {name: own[key] for key, name in names.items() if key in own}
    tied = {"model_type": model_type, "tie_word_embeddings": "output.weight" not in header.tensors}
    tokens = {} if header.tokens is None else {"vocab_size": header.tokens}
    return tokens | config | tied | {"head_dim": _head_width(own)}


def _head_width(own: Mapping[str, Any]) -> int:
    width = own.get("attention.key_length")
    return width if isinstance(width, int) else int(own["embedding_length"] // own["attention.head_count"])


def _changes_nothing(short: str, own: Mapping[str, Any]) -> bool:
    """Whether a key of the model's class has a value at which it changes nothing."""
    value, width = own[short], _head_width(own)
    if short in ("rope.dimension_count", "attention.key_length", "attention.value_length"):
        return bool(value == width)
    if short == "attention.scale" and isinstance(value, float):
        return value == 0 or math.isclose(value, width**-0.5, rel_tol=1e-6)
    unscaled = own.get("rope.scaling.factor") == 1 and short == "rope.scaling.type"
    return unscaled or value in NEUTRAL.get(short, ())


def check_gguf(header: GgufHeader, model: PreTrainedModel, path: Path) -> None:
    """Hold the tensors of a file against those of its model; ReciteError names one that would be lost."""
    mapped = get_gguf_hf_weights_map(model, TensorProcessor())
    state = model.state_dict()
    expected = {name: tuple(state[place].shape) for name, place in mapped.items()}
    if model.config.tie_word_embeddings:
        expected.pop("output.weight", None)
    absent = sorted(mapped[name] for name in expected.keys() - header.tensors.keys())
    if absent:
        raise broken(path, f"not all tensors are there: {absent[:3]}")
    for name, tensor in header.tensors.items():
        try:
            gguf.dequantize(tensor.data[:1], tensor.tensor_type)
        except NotImplementedError:
            raise unreadable(path, f"{name} is of type {tensor.tensor_type.name}") from None
        shape = tuple(int(size) for size in reversed(tensor.shape))
        if name not in expected and not _is_neutral(tensor):
            raise unreadable(path, f"its tensor {name} is not heeded")
        if shape != expected.get(name, shape):
            raise broken(path, f"{name} is of shape {[*shape]}, by its keys of {[*expected[name]]}")


def _is_neutral(tensor: gguf.ReaderTensor) -> bool:
    """Factors of frequencies that are all one, and biases that are all zero."""
    if tensor.name == "rope_freqs.weight" or tensor.name.endswith(".bias"):
        value = 1 if tensor.name == "rope_freqs.weight" else 0
        return bool((gguf.dequantize(tensor.data, tensor.tensor_type) == value).all())
    return False
