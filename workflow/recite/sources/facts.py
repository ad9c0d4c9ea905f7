"""What a checkpoint's files say of it, read without torch and at once: plans, blocks of layers and Snakefiles ask it.

Registration finds the same by building the model, and holds what an entry says against that.
"""

import json
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from recite.errors import ReciteError
from recite.files import read_json
from recite.sources.gguf_keys import Length, read_keys
from recite.sources.pointers import refuse_pointer

FACTS = ("layers", "width", "heads", "shared_heads", "feed_forward", "vocabulary", "parameters")
"""What an entry of the registry may say of a checkpoint's size."""
NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "width": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"),
    "feed_forward": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff"),
    "vocabulary": ("vocab_size",),
}
"""Fact -> its keys in the config.json of several classes."""
PARTS = ("text_config", "attn_config", "ffn_config")
"""Keys under which a config tells of a part of the model."""
SHARED_HEADS = ("num_key_value_heads", "num_kv_heads", "kv_n_heads")
GGUF_NAMES = {
    "layers": "block_count",
    "width": "embedding_length",
    "heads": "attention.head_count",
    "shared_heads": "attention.head_count_kv",
    "feed_forward": "feed_forward_length",
}
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""One file, or an index of several; the first is taken where both are there."""
FREQUENCIES = "rotary_emb.inv_freq"
TABLES = (FREQUENCIES, ".attention.bias", ".masked_bias", ".attn.bias")
"""Ends of the names of tables that older checkpoints carry and that are computed today."""
GGUF_TABLES = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
EMBEDDINGS = ("embed_tokens.weight", "embed_in.weight", "wte.weight")
UNEMBEDDINGS = ("lm_head.weight", "embed_out.weight")
COMPARED = 2**16
"""Bytes at the head of two tensors by which they are held to be one that is stored twice."""
MOST_HEADER = 10**8
"""Bytes of a safetensors header at most, as its own library holds."""


class Found(NamedTuple):
    """The facts that files tell, and in a sentence why they tell no more; "" where they tell all."""

    facts: dict[str, int]
    why: str


class _Part(NamedTuple):
    """A tensor in a safetensors file: its shape and where its bytes begin and end."""

    file: Path
    shape: tuple[int, ...]
    begin: int
    end: int


def find_facts(path: Path) -> Found:
    """The facts of a checkpoint on disk, as far as its files tell them, and why not all."""
    if not path.exists():
        return Found({}, f"{path} does not exist")
    facts: dict[str, int] = {}
    try:
        if path.suffix == ".gguf":
            facts |= gguf_facts(path)
        else:
            raw = read_config(path)
            facts |= config_facts(raw)
            facts["parameters"] = stored_parameters(path, raw)
    except ReciteError as error:
        return Found(facts, str(error).rstrip("."))
    absent = [name for name in FACTS if name not in facts]
    return Found(facts, f"{path} does not tell {', '.join(absent)}" if absent else "")


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a folder."""
    file = folder / "config.json"
    if not file.is_file():
        raise ReciteError(f"{folder} is not a checkpoint folder: it has no config.json; name another or make it again.")
    refuse_pointer(file)
    raw = read_json(file)
    if not isinstance(raw, dict):
        raise ReciteError(f"{file} is no config of a model; fetch it again.")
    return raw


def config_facts(raw: Mapping[str, Any]) -> dict[str, int]:
    """What a config.json says of a model's size; of a model of several parts, what that for text says."""
    for part in (raw.get(name) for name in PARTS):
        raw = {**part, **raw} if isinstance(part, dict) else raw
    found = {fact: next((raw[key] for key in keys if _is_count(raw.get(key))), None) for fact, keys in NAMES.items()}
    facts = {fact: value for fact, value in found.items() if value is not None}
    if "width" in facts:
        facts.setdefault("feed_forward", int(raw.get("expansion_ratio", 4)) * facts["width"])
    if "heads" in facts:
        facts["shared_heads"] = _shared_heads(raw, facts["heads"])
    return facts


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _shared_heads(raw: Mapping[str, Any], heads: int) -> int:
    """Key/value heads; by `multi_query` GPT-BigCode and Falcon have one, and a later Falcon repeats its own."""
    if raw.get("new_decoder_architecture"):
        return heads
    if raw.get("multi_query", raw.get("model_type") in ("gpt_bigcode", "falcon")):
        return 1
    return next((raw[key] for key in SHARED_HEADS if _is_count(raw.get(key))), heads)


def gguf_facts(path: Path) -> dict[str, int]:
    """What the header of a GGUF file says of a model's size."""
    keys, tensors = read_keys(path)
    own = f"{keys.get('general.architecture')}."
    found = {fact: keys.get(own + name) for fact, name in GGUF_NAMES.items()}
    facts = {fact: value for fact, value in found.items() if _is_count(value) and not isinstance(value, Length)}
    embedding = tensors.get("token_embd.weight")
    if embedding is not None:
        facts["vocabulary"] = embedding.shape[0]
    facts["parameters"] = sum(prod(tensor.shape) for name, tensor in tensors.items() if name not in GGUF_TABLES)
    return facts


def stored_parameters(folder: Path, raw: Mapping[str, Any]) -> int:
    """Parameters of a folder of safetensors, by the headers of its files; an unembedding tied to its embedding once.

    Of a few classes (mixtures with a bias for their experts) some numbers a layer are stored that are no parameters.
    """
    parts = {name: part for name, part in _parts(folder) if not name.endswith(TABLES)}
    total = sum(prod(part.shape) for part in parts.values())
    one, other = (
        next((part for name, part in parts.items() if name.endswith(ends)), None) for ends in (EMBEDDINGS, UNEMBEDDINGS)
    )
    if one and other and one.shape == other.shape:
        tied = raw.get("tie_word_embeddings")
        if tied or (tied is None and _head(one) == _head(other)):
            total -= prod(other.shape)
    return total


def _head(part: _Part) -> bytes:
    with part.file.open("rb") as file:
        file.seek(part.begin)
        return file.read(min(COMPARED, part.end - part.begin))


def _parts(folder: Path) -> Iterator[tuple[str, _Part]]:
    """The tensors of a folder's safetensors, by the headers of its files."""
    single, several = (folder / name for name in WEIGHTS)
    files = [single]
    if not single.is_file():
        if not several.is_file():
            raise ReciteError(f"{folder} has no weights (model.safetensors); make or fetch the checkpoint again.")
        refuse_pointer(several)
        index = read_json(several)
        named = index.get("weight_map") if isinstance(index, dict) else None
        names = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
        files = [folder / Path(name).name for name in names]
    for file in files:
        if not file.is_file():
            raise ReciteError(f"{file} is not there; make or fetch the checkpoint again.")
        refuse_pointer(file)
        yield from _header(file)


def _header(file: Path) -> Iterator[tuple[str, _Part]]:
    """The tensors of one safetensors file: 8 bytes of length, then JSON; ReciteError if they are not whole."""
    try:
        with file.open("rb") as opened:
            size = int.from_bytes(opened.read(8), "little")
            if size > MOST_HEADER:
                raise ValueError("it is too long")
            header = json.loads(opened.read(size))
        for name, told in header.items():
            if name != "__metadata__":
                begin, end = (8 + size + offset for offset in told["data_offsets"])
                yield name, _Part(file, tuple(told["shape"]), begin, end)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ReciteError(f"the header of {file} cannot be read ({error}); fetch the checkpoint again.") from None
