"""Checkpoints: safetensors, GGUF and the hub's cache, placed on GPUs; what is broken is refused in one sentence."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedModel

from gguf_files import small_llama, write_gguf
from peers import DEVICE, logits_of
from recite.checkpoints import loading as checkpoints
from recite.checkpoints.architectures import ARCHITECTURES, Shape
from recite.checkpoints.loading import ROOM, Checkpoint, device_map, load_checkpoint
from recite.checkpoints.training import build_model
from recite.engine.activations import trace
from recite.engine.branches import Restart
from recite.engine.continuation import continue_greedily
from recite.engine.interventions.heads import HeadReplacement
from recite.errors import ReciteError
from recite.files import read_json, sha256_file, write_json

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> Path:
    """A checkpoint that the test may break."""
    return Path(shutil.copytree(checkpoint_folder("olmo2"), tmp_path / "model"))


def assert_refused(match: str, source: Path | str, revision: str | None = None) -> None:
    """Loading must end in one sentence."""
    with pytest.raises(ReciteError, match=match) as refusal:
        load_checkpoint(source, "float32", 8, revision)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_loads_the_class_of_the_table(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, checkpoint_folder: Any
) -> None:
    """A wrong path to the layers, or another class, would disturb or score something else."""
    assert type(checkpoint.model).__name__ == ARCHITECTURES[family].model_class
    assert len(checkpoint.layers) == 3
    assert not checkpoint.model.training
    assert checkpoint.weights_sha256 == sha256_file(checkpoint_folder(family) / "model.safetensors")
    assert checkpoint.parameters == sum(parameter.numel() for parameter in reference.parameters())
    assert (checkpoint.dtype, checkpoint.device) == ("float32", DEVICE)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(
    family: str, reference: PreTrainedModel, checkpoint_folder: Callable[[str], Path], context: Tensor, dtype: str
) -> None:
    """A checkpoint that is silently kept in float32 takes twice the memory; one without kernels must still run."""
    checkpoint = load_checkpoint(checkpoint_folder(family), dtype, 8)
    assert checkpoint.dtype == dtype
    assert {parameter.dtype for parameter in checkpoint.model.parameters()} == {getattr(torch, dtype)}
    logits = logits_of(checkpoint.model, context)
    assert logits.dtype == getattr(torch, dtype)
    torch.testing.assert_close(logits.float(), logits_of(reference, context), atol=0.2, rtol=0)
    first = continue_greedily(checkpoint, context, 9, 8)
    assert torch.equal(first.tokens[:, 0][first.margin > 0.1], logits[:, -1].argmax(-1)[first.margin > 0.1])
    draft = first.tokens.clone()
    draft[:, 5] = (draft[:, 5] + 1) % 300
    again = continue_greedily(checkpoint, context, 9, 8, draft=draft)
    sure = (first.margin > 0.1) & (again.margin > 0.1)
    assert torch.equal(first.tokens[sure], again.tokens[sure])
    assert again.first_mismatch[sure].tolist() == [5] * int(sure.sum())


def test_sharded_weights(tmp_path: Path, context: Tensor) -> None:
    """Large checkpoints come in several files; all of them name the weights, and each must be there."""
    model = build_model("openllama", Shape(3, 48, 3), 300, 64, seed=5).eval()
    model.save_pretrained(tmp_path, max_shard_size="150KB")
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) > 2
    checkpoint = load_checkpoint(tmp_path, "float32", 8)
    torch.testing.assert_close(logits_of(checkpoint.model, context), logits_of(model, context), atol=1e-4, rtol=0)
    digests = "\n".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    assert checkpoint.weights_sha256 == hashlib.sha256(digests.encode()).hexdigest()
    files[1].unlink()
    assert_refused(r"weights of .* cannot be loaded", tmp_path)


def test_no_config(tmp_path: Path) -> None:
    """A folder that is no checkpoint."""
    assert_refused(r"has no config.json", tmp_path)


def test_no_weights(folder: Path) -> None:
    """A folder without weights must not be scored with random ones."""
    (folder / "model.safetensors").unlink()
    assert_refused(r"model has no weights \(model.safetensors\)", folder)


def test_truncated_weights(folder: Path) -> None:
    """Half a weights file."""
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert_refused(r"weights of .*model cannot be loaded", folder)


def test_missing_tensor(folder: Path) -> None:
    """transformers fills a missing tensor with random numbers and only warns."""
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert_refused(r"not all tensors are there: \['model.layers.1.mlp.up_proj.weight'\]", folder)


def test_weights_of_a_deeper_model(folder: Path) -> None:
    """transformers drops layers that the config does not name, and scores half a model."""
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"num_hidden_layers": 2})
    assert_refused(r"no place for tensors \['model.layers.2", folder)


def test_mismatched_shape(folder: Path) -> None:
    """A config of another width than the weights."""
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"intermediate_size": 64})
    assert_refused(r"cannot be loaded", folder)


def test_unknown_architecture(folder: Path) -> None:
    """What is no decoder of transformers is named."""
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"model_type": "gpt9"})
    assert_refused(r"'gpt9' is no decoder that transformers .* knows; name a checkpoint of one", folder)


def rounded(model: LlamaForCausalLM, kind: gguf.GGMLQuantizationType) -> LlamaForCausalLM:
    """The model with every matrix stored as `kind` and unpacked again, a row by itself."""
    weights = {
        name: torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), kind), kind).copy())
        if weight.ndim == 2
        else weight
        for name, weight in model.state_dict().items()
    }
    changed = small_llama()
    changed.load_state_dict(weights)
    return changed


def test_gguf(tmp_path: Path, context: Tensor) -> None:
    """Heads whose rows are left in GGUF's order, or a misread config, would still give fluent logits."""
    model, tokens = small_llama(), context % 96
    expected = logits_of(model, tokens)
    for kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.Q8_0):
        path = tmp_path / f"{kind.name}.gguf"
        write_gguf(path, model, kind)
        checkpoint = load_checkpoint(path, "float32", 8)
        assert type(checkpoint.model) is LlamaForCausalLM
        assert (checkpoint.heads, checkpoint.shared_heads, checkpoint.head_width) == (4, 2, 16)
        assert checkpoint.parameters == sum(parameter.numel() for parameter in model.parameters())
        assert checkpoint.weights_sha256 == sha256_file(path)
        found = logits_of(checkpoint.model, tokens)
        torch.testing.assert_close(found, logits_of(rounded(model, kind), tokens), atol=1e-4, rtol=0)
        assert float(torch.corrcoef(torch.stack([found.flatten(), expected.flatten()]))[0, 1]) > 0.99
    model.save_pretrained(tmp_path / "folder")
    plain = continue_greedily(load_checkpoint(tmp_path / "folder", "float32", 8), tokens, 16, 8)
    same = continue_greedily(load_checkpoint(tmp_path / "F32.gguf", "float32", 8), tokens, 16, 8)
    sure = plain.margin >= 1e-4
    assert sure.sum() > 20
    assert torch.equal(same.tokens[sure], plain.tokens[sure])
    half = load_checkpoint(tmp_path / "Q8_0.gguf", "bfloat16", 8)
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.bfloat16}


def test_gguf_is_the_file_that_is_named(tmp_path: Path, context: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the same name in the working directory must not be taken instead."""
    for place, seed in (("named", 6), ("here", 7)):
        (tmp_path / place).mkdir()
        write_gguf(tmp_path / place / "model.gguf", small_llama(seed), gguf.GGMLQuantizationType.F32)
    monkeypatch.chdir(tmp_path / "here")
    found = logits_of(load_checkpoint(tmp_path / "named" / "model.gguf", "float32", 8).model, context % 96)
    torch.testing.assert_close(found, logits_of(small_llama(6), context % 96), atol=1e-4, rtol=0)


def test_broken_gguf(tmp_path: Path) -> None:
    """A file that was cut off, within the tensors or the header, is none, lacks a tensor, or is another class's."""
    path = tmp_path / "model.gguf"
    write_gguf(path, small_llama(), gguf.GGMLQuantizationType.F32)
    whole = path.read_bytes()
    for length in (len(whole) - 5000, 200, 0):
        path.write_bytes(whole[:length])
        assert_refused(r"model.gguf cannot be (read|loaded)", path)
    path.write_bytes(b"GGML" + whole[4:])
    assert_refused(r"model.gguf cannot be (read|loaded)", path)
    write_gguf(path, small_llama(), gguf.GGMLQuantizationType.F32, leave_out="blk.1.ffn_up")
    assert_refused(r"not all tensors are there: \['model.layers.1.mlp.up_proj.weight'\]", path)
    assert_refused(r"nowhere.gguf", tmp_path / "nowhere.gguf")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_hub_name_is_found_in_the_cache(hub: Path, checkpoint_folder: Callable[[str], Path], context: Tensor) -> None:
    """A job on a machine without a network must find what was fetched, and only the commit that is pinned."""
    place = hub / "models--owner--name"
    snapshot = place / "snapshots" / COMMIT
    shutil.copytree(checkpoint_folder("openllama"), snapshot)
    shutil.copytree(checkpoint_folder("olmo2"), place / "snapshots" / COMMIT[::-1])
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT[::-1])
    checkpoint = load_checkpoint("owner/name", "float32", 8, COMMIT)
    expected = LlamaForCausalLM.from_pretrained(checkpoint_folder("openllama")).eval()
    torch.testing.assert_close(logits_of(checkpoint.model, context), logits_of(expected, context), atol=1e-4, rtol=0)
    assert_refused(r"owner/name at f{40} is not on this machine and cannot be fetched", "owner/name", "f" * 40)
    assert_refused(r"owner/other at .* is not on this machine and cannot be fetched", "owner/other", COMMIT)
    (snapshot / "model.safetensors").unlink()
    assert_refused(r"has no weights", "owner/name", COMMIT)


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper(), ""])
def test_revision_that_is_no_commit_is_refused(hub: Path, revision: str) -> None:
    """A branch, a tag or a short hash names other weights tomorrow."""
    assert_refused(rf"revision '{revision}' of owner/name is not a commit", "owner/name", revision)


def test_unpinned_hub_name_is_refused(
    hub: Path, tmp_path: Path, checkpoint_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `main` is today must not be fetched; a folder of such a name is a folder."""
    monkeypatch.chdir(tmp_path)
    assert_refused(r"owner/name is no folder or file here; .* pin it by `revision`", "owner/name")
    shutil.copytree(checkpoint_folder("olmo1"), tmp_path / "owner" / "name")
    assert load_checkpoint("owner/name", "float32", 8).architecture.model_type == "olmo"


def test_device_map(family: str) -> None:
    """A part left without a GPU would be computed on the CPU in silence, layers out of order would go to and fro."""
    model = build_model(family, Shape(12, 48, 3), 300, 64, seed=5)
    needed = sum(parameter.numel() for parameter in model.parameters()) * 2

    def placed(*shares: float) -> dict[str, int] | None:
        gpus = {index: int(share * needed / ROOM) for index, share in enumerate(shares)}
        return device_map(model, torch.bfloat16, gpus)

    assert placed() is None
    assert placed(1.01) == {"": 0}
    assert placed(0.5, 1.01, 2) == {"": 1}
    spread = placed(0.8, 0.8)
    assert spread is not None and set(spread.values()) == {0, 1}
    taken = {0: 0, 1: 0}
    for name, parameter in model.named_parameters():
        (gpu,) = {gpu for part, gpu in spread.items() if name == part or name.startswith(f"{part}.")}
        taken[gpu] += parameter.numel() * 2
    assert max(taken.values()) <= 0.8 * needed
    path = ARCHITECTURES[family].layers
    order = [spread[f"{path}.{layer}"] for layer in range(12)]
    assert order == sorted(order) and set(order) == {0, 1}
    for shares in ((0.9,), (0.4, 0.4)):
        with pytest.raises(ReciteError, match=rf"the job's {len(shares)} GPUs have room for .* give the job more GPUs"):
            placed(*shares)


def test_model_that_accelerate_has_spread(checkpoint: Checkpoint, spread: Checkpoint, context: Tensor) -> None:
    """Over several GPUs each layer's forward is one that moves tensors: it must work, and stay after a restart."""
    context = context[:9]
    path = spread.architecture.layers
    forwards = {name: module.__dict__.get("forward") for name, module in spread.model.named_modules()}
    assert all(forwards[f"{path}.{layer}"] for layer in range(3))
    draft = continue_greedily(checkpoint, context, 12, 8).tokens
    rows = torch.arange(len(context))
    for layer in (0, 2):
        plain, hooked = (
            continue_greedily(
                model,
                context,
                12,
                8,
                draft=draft,
                intervention=HeadReplacement(model, layer, rows % 3),
                restart=Restart(trace(model, context, draft, 8), layer, rows),
            )
            for model in (checkpoint, spread)
        )
        torch.testing.assert_close(tuple(plain), tuple(hooked), rtol=0, atol=0, equal_nan=True)
    assert {name: module.__dict__.get("forward") for name, module in spread.model.named_modules()} == forwards


def test_quantized_weights(folder: Path) -> None:
    """Quantized weights are another model; an unknown method is loaded by transformers as if there were none."""
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"quantization_config": {"quant_method": "gptq", "bits": 4}})
    with pytest.raises(ReciteError, match="holds quantized weights"):
        load_checkpoint(folder, "float32", 8)


@pytest.mark.parametrize("change", [{"num_attention_heads": 5}, {"num_hidden_layers": "two"}])
def test_config_that_is_none(folder: Path, change: dict[str, Any]) -> None:
    """A config edited by hand must end in a sentence that names it."""
    write_json(folder / "config.json", read_json(folder / "config.json") | change)
    with pytest.raises(ReciteError, match=r"config.json is no config of Olmo2ForCausalLM|cannot be loaded"):
        load_checkpoint(folder, "float32", 8)


def test_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error without words must still be told."""

    def silent(*arguments: object, **options: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(checkpoints, "snapshot_download", silent)
    with pytest.raises(ReciteError, match=r"cannot be fetched \(TimeoutError\)"):
        load_checkpoint("owner/model", "float32", 8, revision="a" * 40)
