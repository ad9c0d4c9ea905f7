"""Small Llamas in GGUF files, written as llama.cpp's converter does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel


def small_llama(seed: int = 6, vocabulary: int = 96) -> LlamaForCausalLM:
    """A Llama with two heads to a key/value head, all widths multiples of GGUF's blocks of 32."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        max_position_embeddings=128,
        initializer_range=0.15,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


KINDS = {
    bool: gguf.GGUFValueType.BOOL,
    int: gguf.GGUFValueType.UINT32,
    float: gguf.GGUFValueType.FLOAT32,
    str: gguf.GGUFValueType.STRING,
}
GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Tensors of a layer: their names in `transformers` and in GGUF."""


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in GGUF's order: the two halves of every head take turns."""
    width = len(weight) // heads
    order = [
        head * width + half * width // 2 + place
        for head in range(heads)
        for place in range(width // 2)
        for half in (0, 1)
    ]
    return weight[order]


def write_gguf(
    path: Path,
    model: PreTrainedModel,
    kind: gguf.GGMLQuantizationType,
    leave_out: str = "",
    keys: Mapping[str, Any] | None = None,
    tensors: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a Llama or a Qwen as llama.cpp's converter does: matrices of one kind, vectors in float32.

    `keys` are added to those of the model or take their place; one that is None is left out.
    """
    config = model.config
    writer = gguf.GGUFWriter(path, config.model_type)
    writer.add_name("small")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    for key, value in (keys or {}).items():
        writer.kv_data[0].pop(key, None)
        if isinstance(value, list):
            writer.add_array(key, value)
        elif value is not None:
            writer.add_key_value(key, value, KINDS[type(value)])
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for layer in range(config.num_hidden_layers):
        names |= {f"model.layers.{layer}.{name}": f"blk.{layer}.{short}" for name, short in GGUF_NAMES.items()}
        names |= {f"model.layers.{layer}.self_attn.{one}_norm": f"blk.{layer}.attn_{one}_norm" for one in "qk"}
    state = model.state_dict()
    for name, short in names.items():
        if f"{name}.bias" in state:
            writer.add_tensor(f"{short}.bias", state[f"{name}.bias"].numpy())
        if short == leave_out or f"{name}.weight" not in state:
            continue
        weight = state[f"{name}.weight"].numpy()
        if config.model_type == "llama" and short.endswith(("attn_q", "attn_k")):
            weight = interleaved(weight, 4 if short.endswith("attn_q") else 2)
        stored = kind if weight.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(f"{short}.weight", gguf.quants.quantize(weight, stored), raw_dtype=stored)
    for name, tensor in (tensors or {}).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
