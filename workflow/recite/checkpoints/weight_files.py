"""The headers of safetensors files: which tensors a checkpoint holds, read without its weights."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

from recite.errors import ReciteError
from recite.files import read_json
from recite.sources.facts import FREQUENCIES, TABLES, WEIGHTS
from recite.sources.pointers import refuse_pointer

PRECISIONS = ("F64", "F32", "F16", "BF16")
"""Types of weights, by safetensors' names; integers and 8-bit floats need scales, which the classes do not take."""


class Stored(NamedTuple):
    """A tensor in a file."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]


def broken(path: Path, why: str) -> ReciteError:
    """The error for weights that cannot be loaded."""
    return ReciteError(f"the weights of {path} cannot be loaded ({why}); make or fetch the checkpoint again.")


def stored_tensors(folder: Path) -> dict[str, Stored]:
    """The tensors of a checkpoint by name; ReciteError if a file of it is not there or not whole."""
    stored: dict[str, Stored] = {}
    for file in _files(folder):
        for name, tensor in _header(file, folder).items():
            if name in stored:
                raise broken(folder, f"{name} is both in {stored[name].file.name} and in {file.name}")
            stored[name] = tensor
    return stored


def _files(folder: Path) -> list[Path]:
    """The files that hold the weights; of its tensors an index says too much, where published ones are tied."""
    single, several = (folder / name for name in WEIGHTS)
    if single.is_file():
        return [single]
    if not several.is_file():
        raise ReciteError(f"{folder} has no weights (model.safetensors); make or fetch the checkpoint again.")
    refuse_pointer(several)
    index = read_json(several)
    for key in ("weight_map", "metadata"):  # of which `transformers` needs the second too
        if not isinstance(index, dict) or not isinstance(index.get(key), dict):
            raise broken(folder, f"{several.name} has no {key}")
    names = sorted(set(map(str, index["weight_map"].values())))
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise broken(folder, f"{several.name} names {outside[0]!r}, which is not a file beside it")
    return [folder / name for name in names]


def _header(file: Path, folder: Path) -> dict[str, Stored]:
    """The tensors of one file."""
    if not file.is_file():
        raise broken(folder, f"{file.name} is not there")
    refuse_pointer(file)
    try:
        with safe_open(file, "pt") as opened:
            parts = {name: opened.get_slice(name) for name in opened.offset_keys()}
            return {name: Stored(file, name, part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise broken(folder, f"{file.name}: {error}") from None


class Placed(NamedTuple):
    """Stored tensors by the name of the place in the model that `transformers` gives them; its tables left out.

    single: one tensor a place. parts: those of which one is put together, as a layer's experts.
    """

    single: dict[str, Stored]
    parts: dict[str, list[Stored]]


def placed(folder: Path, stored: Mapping[str, Stored], model: PreTrainedModel) -> Placed:
    """Where stored tensors go; ReciteError for two that have one place."""
    state = model.state_dict()
    ways = get_model_conversion_mapping(model)
    renamings = [way for way in ways if isinstance(way, WeightRenaming)]
    converters = [way for way in ways if isinstance(way, WeightConverter)]
    found = Placed({}, {})
    for name, tensor in stored.items():
        place, converter = rename_source_key(name, renamings, converters, model.base_model_prefix, state)
        if converter is not None:
            found.parts.setdefault(place, []).append(tensor)
            continue
        if place in found.single:
            raise broken(folder, f"it holds two tensors for {place}, one as {name}")
        if place in state or not name.endswith(TABLES):
            found.single[place] = tensor
    return found


def check_tensors(folder: Path, stored: Mapping[str, Stored], model: PreTrainedModel) -> None:
    """Hold the names, shapes and types of stored tensors against those of the model that is to take them."""
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    places, parts = placed(folder, stored, model)
    there = places.keys() | parts.keys()
    absent = expected.keys() - there
    absent -= {name for pair in model.all_tied_weights_keys.items() for name in pair if not absent.issuperset(pair)}
    if absent:
        raise broken(folder, f"not all tensors are there: {sorted(absent)[:3]}")
    foreign = sorted(there - expected.keys())
    if foreign:
        raise broken(folder, f"its config has no place for tensors {foreign[:3]}")
    for name, tensors in sorted(parts.items()):
        numbers, needed = sum(math.prod(tensor.shape) for tensor in tensors), math.prod(expected[name])
        if numbers != needed:
            raise broken(folder, f"{name} is put together of {numbers} numbers, by its config of {needed}")
    for name, tensor in sorted(places.items()):
        if tensor.shape != expected[name]:
            raise broken(folder, f"{name} is of shape {[*tensor.shape]}, by its config of {[*expected[name]]}")
    for name, tensor in sorted([*places.items(), *((name, one) for name, all_ in parts.items() for one in all_)]):
        if tensor.dtype not in PRECISIONS:
            raise ReciteError(
                f"{folder} holds quantized weights ({name} is {tensor.dtype}); name the checkpoint that they were made "
                "from."
            )


def check_head(folder: Path, stored: Mapping[str, Stored], model: PreTrainedModel) -> None:
    """Refuse a checkpoint whose config ties two tensors that it holds with different values; this reads them."""
    places = placed(folder, stored, model).single
    for pair in model.all_tied_weights_keys.items():
        if places.keys() >= set(pair):
            one, other = (_read(places[name]) for name in pair)
            if one.dtype != other.dtype or not torch.equal(one, other):
                raise another_head(folder)


def another_head(folder: Path) -> ReciteError:
    """The error for a checkpoint that says that it has no unembedding of its own, and has one."""
    return ReciteError(
        f"{folder / 'config.json'} says tie_word_embeddings true, but the file's unembedding is not its embedding; set "
        "it to false if the unembedding is the model's, else take that tensor out of the file."
    )


def stored_frequencies(stored: Mapping[str, Stored]) -> dict[str, Tensor]:
    """The rotary frequencies that older checkpoints carry, by name."""
    return {name: _read(found) for name, found in stored.items() if name.endswith(FREQUENCIES)}


def _read(stored: Stored) -> Tensor:
    with safe_open(stored.file, "pt") as opened:
        tensor: Tensor = opened.get_tensor(stored.name)
    return tensor
