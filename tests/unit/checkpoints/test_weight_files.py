"""Headers of safetensors: a file that is not there, not whole or not the model's is refused before it is read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from peers import logits_of
from recite.checkpoints.architectures import Shape
from recite.checkpoints.inspection import inspect
from recite.checkpoints.loading import load_checkpoint
from recite.checkpoints.training import build_model
from recite.errors import ReciteError
from recite.files import read_json, write_json
from recite.sources.pointers import refuse_pointer

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 1976163472\n"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> Path:
    """A checkpoint in one file that the test may break."""
    return Path(shutil.copytree(checkpoint_folder("olmo2"), tmp_path / "model"))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A checkpoint in several files that the test may break."""
    path = tmp_path / "shards"
    build_model("openllama", Shape(2, 48, 3), 300, 64, seed=5).save_pretrained(path, max_shard_size="150KB")
    return path


def refused(folder: Path, sentence: str) -> None:
    """Opening a checkpoint, and loading it, must end in one sentence."""
    for open_it in (inspect, lambda path: load_checkpoint(path, "float32", 8)):
        with pytest.raises(ReciteError, match=sentence) as refusal:
            open_it(folder)
        assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")


def change(folder: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add or replace tensors of a checkpoint in one file; hands back all of them."""
    changed = load_file(folder / "model.safetensors") | tensors
    save_file(changed, folder / "model.safetensors", {"format": "pt"})
    return changed


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (POINTER, r"model\.safetensors is a pointer of Git LFS and not the file itself; fetch that"),
        (b"", r"cannot be loaded \(model\.safetensors: .*header"),
        (b"\x08\0\0\0\0\0\0\0{}", r"cannot be loaded \(model\.safetensors: "),
        (b"<!DOCTYPE html><html>not found</html>", r"cannot be loaded \(model\.safetensors: "),
        (b"\x10\0\0\0\0\0\0\0not json at all ", r"cannot be loaded \(model\.safetensors: "),
    ],
)
def test_what_is_no_safetensors(folder: Path, content: bytes, sentence: str) -> None:
    """What a clone without LFS, a full disk or a proxy leaves in a weights file's place."""
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, sentence)


@pytest.mark.parametrize("end", [-1, -5000, 1000])
def test_cut_off(folder: Path, end: int) -> None:
    """A copy that was cut off, in the tensors or in the header."""
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:end])
    refused(folder, r"model cannot be loaded \(model\.safetensors: ")


def test_shards(shards: Path) -> None:
    """Each shard must be there and whole, whichever it is."""
    files = sorted(shards.glob("*.safetensors"))
    assert len(files) > 2 and inspect(shards).config.num_hidden_layers == 2
    for file in (files[0], files[-1]):
        whole = file.read_bytes()
        file.unlink()
        refused(shards, rf"cannot be loaded \({file.name} is not there\)")
        file.write_bytes(POINTER)
        refused(shards, rf"{file.name} is a pointer of Git LFS")
        file.write_bytes(whole[:-1])
        refused(shards, rf"cannot be loaded \({file.name}: ")
        file.write_bytes(whole)
    save_file(load_file(files[0]) | load_file(files[1]), files[1], {"format": "pt"})
    refused(shards, rf"is both in {files[0].name} and in {files[1].name}")


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        ({"metadata": {}}, "has no weight_map"),
        ({"weight_map": {"a": "b.safetensors"}}, "has no metadata"),
        ([], "has no weight_map"),
        ({"weight_map": {}, "metadata": {}}, "not all tensors are there"),
        ({"weight_map": {"a": "../b.safetensors"}, "metadata": {}}, r"names '\.\./b\.safetensors', which is not"),
        ({"weight_map": {"a": 7}, "metadata": {}}, "7 is not there"),
    ],
)
def test_index(shards: Path, index: Any, sentence: str) -> None:
    """An index that was edited, or made for other files."""
    write_json(shards / INDEX, index)
    refused(shards, sentence)


def test_index_that_is_a_pointer_or_names_too_little(shards: Path) -> None:
    """Tensors of a shard that the index leaves out would be made up."""
    index = read_json(shards / INDEX)
    last = sorted(set(index["weight_map"].values()))[-1]
    kept = {name: file for name, file in index["weight_map"].items() if file != last}
    write_json(shards / INDEX, index | {"weight_map": kept})
    refused(shards, "not all tensors are there: ")
    (shards / INDEX).write_bytes(POINTER)
    refused(shards, r"index\.json is a pointer of Git LFS")
    (shards / INDEX).unlink()
    refused(shards, r"has no weights \(model\.safetensors\)")


def test_config_that_is_a_pointer(folder: Path) -> None:
    """Some repositories keep every file in LFS."""
    (folder / "config.json").write_bytes(POINTER)
    refused(folder, r"config\.json is a pointer of Git LFS")
    (folder / "config.json").write_text("[]")
    refused(folder, r"config\.json is no config of a model")
    (folder / "config.json").write_text('{"hidden_size": 4')
    refused(folder, r"config\.json is not valid JSON")


def test_file_that_cannot_be_opened(folder: Path) -> None:
    """A disk that fails or is not mounted must be told by the file, not by a traceback."""
    with pytest.raises(ReciteError, match=r"model cannot be read \(Is a directory\); check its permissions"):
        refuse_pointer(folder)


def test_adapter(folder: Path) -> None:
    """An adapter beside the weights is not applied, so that another model than the folder's would be scored."""
    write_json(folder / "adapter_config.json", {"peft_type": "LORA", "r": 8})
    refused(folder, r"holds an adapter \(adapter_config\.json\), which is not applied; merge it")


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn, torch.float8_e5m2])
def test_quantized_tensors(folder: Path, dtype: torch.dtype) -> None:
    """transformers casts them to what is asked for, without the scales that they were made with."""
    name = "model.layers.1.mlp.up_proj.weight"
    change(folder, {name: load_file(folder / "model.safetensors")[name].to(dtype)})
    refused(folder, rf"holds quantized weights \({name} is [UIF]8")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions(folder: Path, dtype: torch.dtype) -> None:
    """A checkpoint in another floating type is loaded in the one that is asked for."""
    tensors = load_file(folder / "model.safetensors")
    change(folder, {name: tensor.to(dtype) for name, tensor in tensors.items()})
    loaded = load_checkpoint(folder, "float32", 8).model.get_input_embeddings().weight
    assert torch.equal(loaded, tensors["model.embed_tokens.weight"].to(dtype).float())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("model.layers.0.self_attn.q_proj.bias", "no place for tensors"),
        ("model.layers.0.self_attn.q_proj.weight_scale_inv", "no place for tensors"),
        ("model.layers.3.mlp.up_proj.weight", "no place for tensors"),
        ("model.layers.0.attn_bias", "no place for tensors"),
        ("model.layers.0.self_attn.rotary_emb.inv_freq.extra", "no place for tensors"),
        ("model.norm.weight", "is of shape .300., by its config of .48."),
    ],
)
def test_foreign_tensors(folder: Path, name: str, sentence: str) -> None:
    """Biases, scales or layers that the config says nothing of would be left out; another shape is another model."""
    change(folder, {name: torch.zeros(300)})
    refused(folder, sentence)


def test_masks_of_older_checkpoints(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """Pythia's files hold causal masks and rotary tables in every layer, in types of their own."""
    folder = Path(shutil.copytree(checkpoint_folder("pythia"), tmp_path / "model"))
    table = 10000.0 ** -(torch.arange(0, 4, 2) / 4)
    old = {"bias": torch.ones(1, 1, 4, 4, dtype=torch.uint8), "masked_bias": torch.tensor(-1e9)}
    for layer in range(3):
        own = {f"gpt_neox.layers.{layer}.attention.{name}": tensor.clone() for name, tensor in old.items()}
        change(folder, own | {f"gpt_neox.layers.{layer}.attention.rotary_emb.inv_freq": table.clone()})
    plain = load_checkpoint(checkpoint_folder("pythia"), "float32", 8)
    assert load_checkpoint(folder, "float32", 8).parameters == plain.parameters


@pytest.mark.parametrize("family", ["olmo1", "starcoder"])
def test_tied_with_its_own_head(
    tmp_path: Path, checkpoint_folder: Callable[[str], Path], family: str, context: Tensor
) -> None:
    """A second copy of the embedding is the tied model; another head is a model that the config denies."""
    folder = Path(shutil.copytree(checkpoint_folder(family), tmp_path / "model"))
    embedding = "model.embed_tokens.weight" if family == "olmo1" else "transformer.wte.weight"
    tensors = change(folder, {})
    change(folder, {"lm_head.weight": tensors[embedding].clone()})
    plain, copied = (load_checkpoint(path, "float32", 8) for path in (checkpoint_folder(family), folder))
    assert torch.equal(logits_of(copied.model, context), logits_of(plain.model, context))
    assert copied.parameters == plain.parameters
    assert sum(parameter.numel() for parameter in inspect(folder).empty.parameters()) == copied.parameters
    change(folder, {"lm_head.weight": torch.randn(300, 48)})
    with pytest.raises(ReciteError, match=r"says tie_word_embeddings true, but .* set it to false if the unembedding"):
        load_checkpoint(folder, "float32", 8)
    write_json(folder / "config.json", read_json(folder / "config.json") | {"tie_word_embeddings": False})
    own = load_checkpoint(folder, "float32", 8)
    assert own.parameters == plain.parameters + 300 * 48
    assert sum(parameter.numel() for parameter in inspect(folder).empty.parameters()) == own.parameters


def test_untied_without_a_head(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """transformers would make one up."""
    folder = Path(shutil.copytree(checkpoint_folder("olmo1"), tmp_path / "model"))
    write_json(folder / "config.json", read_json(folder / "config.json") | {"tie_word_embeddings": False})
    refused(folder, r"not all tensors are there: \['lm_head\.weight'\]")


def test_tied_by_the_head_alone(tmp_path: Path, checkpoint_folder: Callable[[str], Path], context: Tensor) -> None:
    """Of two tied tensors a file may hold either, and an index may name the one that no file holds."""
    folder = Path(shutil.copytree(checkpoint_folder("olmo1"), tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    names = {name: "shard.safetensors" for name in [*tensors, "lm_head.weight"]}
    tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")
    save_file(tensors, folder / "shard.safetensors", {"format": "pt"})
    (folder / "model.safetensors").unlink()
    write_json(folder / INDEX, {"weight_map": names, "metadata": {}})
    plain, swapped = (load_checkpoint(path, "float32", 8) for path in (checkpoint_folder("olmo1"), folder))
    assert torch.equal(logits_of(swapped.model, context), logits_of(plain.model, context))


def test_two_names_of_one_place(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """GPT-NeoX's head has an old and a new name; of two tensors one would be lost."""
    folder = Path(shutil.copytree(checkpoint_folder("pythia"), tmp_path / "model"))
    change(folder, {"lm_head.weight": torch.zeros(300, 48)})
    refused(folder, r"holds two tensors for lm_head\.weight")
