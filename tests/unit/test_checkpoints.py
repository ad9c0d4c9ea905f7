"""Broken checkpoint folders: each is refused in one sentence."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from recite.architectures import ARCHITECTURES
from recite.checkpoints import Checkpoint, load_checkpoint
from recite.errors import ReciteError
from recite.files import read_json, sha256_file, write_json


@pytest.fixture
def folder(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> Path:
    """A checkpoint that the test may break."""
    return Path(shutil.copytree(checkpoint_folder("olmo2"), tmp_path / "model"))


def test_loads_the_class_of_the_table(family: str, checkpoint: Checkpoint, checkpoint_folder: Any) -> None:
    """A wrong path to the layers, or another class, would disturb or score something else."""
    assert type(checkpoint.model).__name__ == ARCHITECTURES[family].model_class
    assert len(checkpoint.layers) == 3
    assert not checkpoint.model.training
    assert checkpoint.weights_sha256 == sha256_file(checkpoint_folder(family) / "model.safetensors")
    assert checkpoint.parameters == sum(p.numel() for p in checkpoint.model.parameters())


def test_no_config(tmp_path: Path) -> None:
    """A folder that is no checkpoint."""
    with pytest.raises(ReciteError, match=r"has no config.json"):
        load_checkpoint(tmp_path, "float32")


def test_no_weights(folder: Path) -> None:
    """A folder without weights must not be scored with random ones."""
    (folder / "model.safetensors").unlink()
    with pytest.raises(ReciteError, match=r"model has no weights \(model.safetensors\)"):
        load_checkpoint(folder, "float32")


def test_truncated_weights(folder: Path) -> None:
    """Half a weights file."""
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ReciteError, match=r"weights of .*model cannot be loaded"):
        load_checkpoint(folder, "float32")


def test_missing_tensor(folder: Path) -> None:
    """transformers fills a missing tensor with random numbers and only warns."""
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ReciteError, match=r"not all tensors are there: \['model.layers.1.mlp.up_proj.weight'\]"):
        load_checkpoint(folder, "float32")


def test_weights_of_a_deeper_model(folder: Path) -> None:
    """transformers drops layers that the config does not name, and scores half a model."""
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"num_hidden_layers": 2})
    with pytest.raises(ReciteError, match=r"no place for tensors \['model.layers.2"):
        load_checkpoint(folder, "float32")


def test_mismatched_shape(folder: Path) -> None:
    """A config of another width than the weights."""
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"intermediate_size": 64})
    with pytest.raises(ReciteError, match=r"cannot be loaded"):
        load_checkpoint(folder, "float32")


def test_unknown_architecture(folder: Path) -> None:
    """A class that the table lacks is named, with the way to add it."""
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"model_type": "gpt2"})
    with pytest.raises(ReciteError, match=r"'gpt2' is not in the table .* add a row to ARCHITECTURES"):
        load_checkpoint(folder, "float32")
