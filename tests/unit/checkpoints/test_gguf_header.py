"""GGUF files: every key and tensor is heard when the model is loaded, or the file is refused by the name of one."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFReader
from torch import Tensor

from decoders import small_model
from gguf_files import small_llama, write_gguf
from peers import logits_of
from recite.checkpoints.gguf_header import LONG, read_header
from recite.checkpoints.inspection import inspect
from recite.checkpoints.loading import load_checkpoint
from recite.engine.proof import prove_checkpoint
from recite.errors import ReciteError

HEADS, WIDTH = 4, 16
BIAS = np.full(64, 0.5, np.float32)
LLAMA3_FACTORS = np.linspace(1, 32, 8, dtype=np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def written(path: Path, **more: Any) -> Path:
    """A small Llama in float32."""
    write_gguf(path, small_llama(), Kind.F32, **more)
    return path


def refused(path: Path, sentence: str) -> str:
    """Opening a file, and loading it, must end in one sentence."""
    for open_it in (inspect, lambda path: load_checkpoint(path, "float32", 8)):
        with pytest.raises(ReciteError, match=sentence) as refusal:
            open_it(path)
        assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")
    return str(refusal.value)


@pytest.mark.parametrize(
    "keys",
    [
        {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0},
        {"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 8.0},
        {"llama.rope.scaling.type": "linear"},
        {"llama.rope.scaling.factor": 2.0},
        {"llama.rope.scaling.attn_factor": 1.2},
        {"llama.rope.scaling.yarn_beta_fast": 16.0},
        {"llama.rope.scale_linear": 4.0},
        {"llama.rope.dimension_count": 8},
        {"llama.rope.dimension_count_swa": 8},
        {"llama.rope.freq_base_swa": 10000.0},
        {"llama.attention.value_length": 8},
        {"llama.attention.clamp_kqv": 8.0},
        {"llama.attention.scale": 0.5},
        {"llama.attention.sliding_window": 4096},
        {"llama.attention.causal": False},
        {"llama.attention.layer_norm_epsilon": 1e-5},
        {"llama.attention.max_alibi_bias": 8.0},
        {"llama.expert_count": 8, "llama.expert_used_count": 2},
        {"llama.logit_scale": 0.0625},
        {"llama.embedding_scale": 12.0},
        {"llama.residual_scale": 0.22},
        {"llama.attn_logit_softcapping": 50.0},
        {"llama.factors": [1] * (LONG + 1)},
        {"llama.final_logit_softcapping": 30.0},
        {"llama.use_parallel_residual": True},
        {"llama.no_such_key": 3},
        {"adapter.lora.alpha": 16.0},
        {"llama.attention.head_count_kv": [2, 4]},
        {"llama.attention.head_count_kv": [2, 2]},
        {"llama.feed_forward_length": [96, 64]},
    ],
    ids=str,
)
def test_lost_key(path: Path, keys: dict[str, Any]) -> None:
    """transformers drops such a key without a word, and scores another model."""
    message = refused(
        written(path, keys=keys), "cannot be read from GGUF as the model that it is .*safetensors instead"
    )
    assert any(key in message for key in keys)


@pytest.mark.parametrize(
    "tensors",
    [
        {"rope_freqs.weight": LLAMA3_FACTORS},
        {"blk.0.attn_q.bias": BIAS},
        {"blk.1.attn_output.bias": BIAS},
        {"blk.0.ffn_down.bias": BIAS},
        {"blk.0.attn_q_norm.weight": BIAS[:16]},
        {"blk.1.attn_rot_embd.weight": BIAS[:8]},
        {"token_embd_norm.weight": BIAS},
        {"output.bias": np.full(96, 0.5, np.float32)},
        {"blk.2.attn_norm.weight": BIAS},
    ],
    ids=lambda tensors: next(iter(tensors)),
)
def test_lost_tensor(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """As a key: the frequencies of Llama 3, biases, norms and layers that the keys say nothing of."""
    (name,) = tensors
    refused(
        written(path, tensors=tensors), rf"its tensor {name} is not heeded\); name the folder of the .* safetensors"
    )


def test_what_changes_nothing(path: Path, context: Tensor) -> None:
    """Keys and tensors that are there and off must not cost anyone the file."""
    keys = {
        "llama.rope.scaling.type": "linear",
        "llama.rope.scaling.factor": 1.0,
        "llama.rope.scaling.original_context_length": 128,
        "llama.rope.scaling.finetuned": False,
        "llama.attention.key_length": WIDTH,
        "llama.attention.value_length": WIDTH,
        "llama.attention.scale": WIDTH**-0.5,
        "llama.attention.clamp_kqv": 0.0,
        "llama.attention.causal": True,
        "llama.expert_count": 0,
        "llama.expert_used_count": 0,
        "llama.logit_scale": 1.0,
        "llama.use_parallel_residual": False,
        "llama.tensor_data_layout": "Meta AI original pth",
        "llama.rope.freq_base": 25000.0,
        "llama.context_length": 256,
        "general.file_type": 0,
        "general.quantization_version": 2,
        "general.type": "model",
        "general.alignment": 32,
        "general.tags": ["text-generation"],
        "quantize.imatrix.chunks_count": 128,
        "split.count": 1,
        "split.no": 0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [f"token {index}" for index in range(96)],
        "tokenizer.ggml.merges": ["a b", "ü ß"],
        "tokenizer.ggml.token_type": [1] * 96,
        "llama.vocab_size": None,
    }
    tensors = {"rope_freqs.weight": np.ones(8, np.float32), "blk.0.attn_q.bias": np.zeros(64, np.float32)}
    checkpoint = load_checkpoint(written(path, keys=keys, tensors=tensors), "float32", 8)
    assert checkpoint.model.config.max_position_embeddings == 256
    model = small_llama()
    model.model.rotary_emb.inv_freq = torch.tensor([25000.0 ** (-pair / 8) for pair in range(8)])
    found, expected = (logits_of(one, context % 96) for one in (checkpoint.model, model))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "key",
    [
        "context_length",
        "embedding_length",
        "block_count",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.layer_norm_rms_epsilon",
    ],
)
def test_key_that_is_not_there(path: Path, key: str) -> None:
    """transformers takes its own default, or, for the key/value heads, leaves the rows of each head in GGUF's order."""
    refused(written(path, keys={f"llama.{key}": None}), rf"it has no llama\.{key}\); name the folder")


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"llama.embedding_length": 128, "llama.rope.dimension_count": None}, r"is of shape \[.*\], by its keys of"),
        ({"llama.vocab_size": 128}, "is of shape"),
        ({"llama.block_count": 3}, "not all tensors are there"),
        ({"llama.block_count": 1}, r"its tensor blk\.1\.\w+\.weight is not heeded"),
        ({"llama.attention.head_count": 0}, r"it has no llama\.attention\.head_count"),
        ({"llama.attention.head_count": "four"}, r"it has no llama\.attention\.head_count"),
        ({"llama.attention.head_count": 5}, r"llama\.rope\.dimension_count 16 is not heeded"),
        ({"llama.attention.key_length": "wide"}, r"llama\.attention\.key_length 'wide' is not heeded"),
        ({"llama.attention.head_count_kv": 3}, "no multiple of 3 heads"),
        ({"llama.attention.layer_norm_rms_epsilon": -1.0}, "rms_norm_eps is -1.0"),
        ({"llama.rope.freq_base": 0.0}, "rope_theta of its rotary embeddings is 0.0"),
        ({"general.type": "adapter"}, "is a 'adapter' and not a model"),
        ({"general.type": "mmproj"}, "is a 'mmproj' and not a model"),
        ({"split.count": 3, "split.no": 0}, "is one part of 3; name a whole model"),
        ({"general.architecture": None}, "its class is None"),
        (
            {"general.architecture": "gptneox"},
            "its class is 'gptneox', not llama or qwen2 or qwen3.; name the folder of the ",
        ),
        ({"general.architecture": "olmo2"}, "its class is 'olmo2', not llama or qwen2 or qwen3.; name the folder"),
        (
            {"general.architecture": "starcoder"},
            "its class is 'starcoder', not llama or qwen2 or qwen3.; name the folder",
        ),
        ({"general.architecture": "gemma2"}, "its class is 'gemma2', not llama or qwen2 or qwen3.; name the folder"),
    ],
    ids=str,
)
def test_other_files(path: Path, keys: dict[str, Any], sentence: str) -> None:
    """Keys that do not fit the tensors, and whole files that are no model to be read: fetching does not help."""
    message = refused(written(path, keys=keys), sentence)
    assert "fetch or convert it again" not in message


@pytest.mark.parametrize("kind", [Kind.Q8_1, Kind.I8, Kind.I16, Kind.F64])
def test_type_that_cannot_be_unpacked(path: Path, kind: Kind) -> None:
    """Types that llama.cpp knows and the library does not: the file is whole, and fetching it again does not help."""
    content, name = written(path).read_bytes(), b"blk.0.attn_norm.weight"
    place = content.index(name) + len(name) + 4 + 8  # behind the name lie the number of dimensions and one dimension
    assert struct.unpack_from("<I", content, place) == (Kind.F32.value,)
    path.write_bytes(content[:place] + struct.pack("<I", kind.value) + content[place + 4 :])
    refused(path, rf"blk\.0\.attn_norm\.weight is of type {kind.name}\); name the folder")


def test_damage(path: Path) -> None:
    """Only a file that is damaged is to be fetched again."""
    whole = written(path).read_bytes()
    for content in (whole[:-5000], whole[:200], whole[:8], b"", b"GGML" + whole[4:], b"\0" * 64):
        path.write_bytes(content)
        refused(path, r"model\.gguf cannot be read as a GGUF file \(.*\); fetch or convert it again")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1976163472\n")
    refused(path, r"model\.gguf is a pointer of Git LFS")
    path.unlink()
    refused(path, r"model\.gguf is not there")


def test_header_is_that_of_the_library(path: Path) -> None:
    """Stepping over lists of texts, and of a number for every token, must not lose the place of what follows them."""
    keys = {
        "tokenizer.ggml.tokens": ["", "a", "ü" * 300, "<|end|>"],
        "tokenizer.ggml.scores": [0.5, 1.5],
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.token_type": [1] * (LONG + 1),
        "llama.note": "text behind the lists",
        "general.tags": ["x", "y"],
    }
    written(path, keys=keys)
    header, plain = read_header(path), GGUFReader(path)
    assert list(header.keys) == list(plain.fields)
    for name, field in plain.fields.items():
        value = field.contents()
        stepped_over = isinstance(value, list) and (isinstance(value[0], str) or len(value) > LONG)
        assert header.keys[name] == (None if stepped_over else value), name
    assert header.tokens == 4
    assert list(header.tensors) == [tensor.name for tensor in plain.tensors]
    assert all(np.array_equal(header.tensors[tensor.name].data, tensor.data) for tensor in plain.tensors)


@pytest.mark.parametrize(("model_type", "more"), [("qwen2", {}), ("qwen3", {"head_dim": 16})])
def test_classes_like_llama(path: Path, model_type: str, more: dict[str, Any]) -> None:
    """Biases and norms of queries that are lost, or heads in another order, give another model's logits."""
    sizes = {"hidden_size": 64, "intermediate_size": 96, "vocab_size": 96, "max_position_embeddings": 128}
    model = small_model(model_type, **sizes, num_hidden_layers=2, tie_word_embeddings=False, **more)
    write_gguf(path, model, Kind.F32)
    checkpoint = load_checkpoint(path, "float32", 8)
    assert "proof" in prove_checkpoint(inspect(path))
    tokens = torch.randint(0, 96, (3, 9), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(logits_of(checkpoint.model, tokens), logits_of(model, tokens), atol=1e-4, rtol=1e-4)
    write_gguf(path, model, Kind.F32, keys={f"{model_type}.rope.scaling.factor": 2.0})
    refused(path, rf"{model_type}\.rope\.scaling\.factor 2\.0 is not heeded")
