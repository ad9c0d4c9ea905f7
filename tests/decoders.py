"""Small models of decoder classes of `transformers`, with random weights: one of each class that has no row."""

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CLASSES

VOCABULARY, WIDTH, LAYERS, HEADS = 96, 32, 3, 4
PLAIN: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
}
GROUPED = PLAIN | {"num_key_value_heads": 2}
WIDE = GROUPED | {"head_dim": 16}
EXPERTS = GROUPED | {"num_experts_per_tok": 2, "output_router_logits": False}
OLD = {"vocab_size": VOCABULARY, "n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 64}
OLD |= {"bos_token_id": 0, "eos_token_id": 1}
LATENT = {"kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 6}
WINDOWED = {"sliding_window": 32, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}

DECODERS: dict[str, dict[str, Any]] = {
    "mistral": WIDE,
    "ministral": WIDE | WINDOWED,
    "qwen2": GROUPED,
    "qwen3": WIDE,
    "gemma": WIDE,
    "gemma2": WIDE
    | WINDOWED
    | {"query_pre_attn_scalar": 16, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 2.0},
    "gemma3_text": WIDE | WINDOWED | {"query_pre_attn_scalar": 16},
    "vaultgemma": WIDE | WINDOWED | {"query_pre_attn_scalar": 16, "final_logit_softcapping": 3.0},
    "phi": GROUPED | {"partial_rotary_factor": 0.5},
    "phi3": GROUPED,
    "starcoder2": GROUPED,
    "gpt2": OLD,
    "gpt_neo": {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_layers": LAYERS,
        "num_heads": HEADS,
        "attention_types": [[["global", "local", "global"], 1]],
        "max_position_embeddings": 64,
        "window_size": 40,
        "bos_token_id": 0,
        "eos_token_id": 1,
    },
    "gptj": OLD | {"rotary_dim": 4, "tie_word_embeddings": False},
    "codegen": OLD | {"rotary_dim": 4, "tie_word_embeddings": False, "n_ctx": 64},
    "opt": {key: value for key, value in PLAIN.items() if key != "intermediate_size"}
    | {"ffn_dim": 48, "word_embed_proj_dim": WIDTH, "pad_token_id": 1},
    "bloom": {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "bos_token_id": 0,
        "eos_token_id": 1,
    },
    "falcon": {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_kv_heads": 2,
        "new_decoder_architecture": True,
        "multi_query": True,
        "bos_token_id": 0,
        "eos_token_id": 1,
    },
    "cohere": GROUPED | {"logit_scale": 0.25},
    "cohere2": GROUPED | WINDOWED | {"logit_scale": 0.25},
    "smollm3": GROUPED | {"no_rope_layers": [1, 0, 1]},
    "apertus": GROUPED,
    "arcee": WIDE,
    "granite": GROUPED
    | {"logits_scaling": 4.0, "attention_multiplier": 0.25, "embedding_multiplier": 2.0, "residual_multiplier": 0.5},
    "mpt": {
        "vocab_size": VOCABULARY,
        "d_model": WIDTH,
        "n_layers": LAYERS,
        "n_heads": HEADS,
        "max_seq_len": 64,
        "expansion_ratio": 2,
    },
    "stablelm": GROUPED,
    "nemotron": WIDE,
    "xglm": {
        "vocab_size": VOCABULARY,
        "d_model": WIDTH,
        "ffn_dim": 48,
        "num_layers": LAYERS,
        "attention_heads": HEADS,
        "max_position_embeddings": 64,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    },
    "persimmon": PLAIN,
    "helium": WIDE | {"head_dim": 8},
    "glm": WIDE,
    "glm4": WIDE,
    "ernie4_5": WIDE,
    "exaone4": GROUPED
    | {
        "sliding_window": 32,
        "sliding_window_pattern": "LLG",
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
    },
    "seed_oss": WIDE,
    "cwm": WIDE | WINDOWED,
    "olmoe": EXPERTS | {"num_experts": 4},
    "mixtral": EXPERTS | {"num_local_experts": 4},
    "qwen2_moe": EXPERTS | {"num_experts": 4, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24},
    "qwen3_moe": EXPERTS | {"num_experts": 4, "moe_intermediate_size": 24, "head_dim": 8},
    "granitemoe": EXPERTS | {"num_local_experts": 4, "logits_scaling": 2.0, "attention_multiplier": 0.25},
    "phimoe": EXPERTS | {"num_local_experts": 4},
    "flex_olmo": EXPERTS | {"num_experts": 4},
    "gpt_oss": EXPERTS | WINDOWED | {"num_local_experts": 4, "head_dim": 16},
    "deepseek_v2": PLAIN
    | LATENT
    | {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
    },
    "deepseek_v3": PLAIN
    | LATENT
    | {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 24,
        "first_k_dense_replace": 1,
        "n_group": 2,
        "topk_group": 1,
        "num_key_value_heads": 4,
    },
    "minicpm3": PLAIN | LATENT | {"num_key_value_heads": 4},
    "dots1": EXPERTS
    | {
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "moe_intermediate_size": 24,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
        "head_dim": 8,
    },
    "glm4_moe": EXPERTS
    | {
        "n_routed_experts": 4,
        "moe_intermediate_size": 24,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
        "head_dim": 8,
    },
    "ernie4_5_moe": EXPERTS | {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 24},
    "minimax_m2": EXPERTS | {"num_local_experts": 4, "head_dim": 8},
    "afmoe": EXPERTS | WINDOWED | {"num_experts": 4, "moe_intermediate_size": 24, "num_dense_layers": 1, "head_dim": 8},
    "nanochat": GROUPED,
    "biogpt": PLAIN,
    "dbrx": {
        "vocab_size": VOCABULARY,
        "d_model": WIDTH,
        "n_layers": LAYERS,
        "n_heads": HEADS,
        "max_seq_len": 64,
        "attn_config": {"clip_qkv": 8.0, "kv_n_heads": 2, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 32},
    },
    "hunyuan_v1_dense": WIDE,
    "hunyuan_v1_moe": EXPERTS | {"num_experts": 4, "moe_topk": 2, "head_dim": 8},
    "llama4_text": EXPERTS | {"num_local_experts": 4, "intermediate_size_mlp": 48, "head_dim": 8},
    "gpt_neox_japanese": {k: v for k, v in PLAIN.items() if k != "intermediate_size"}
    | {"intermediate_multiple_size": 2},
    "granitemoeshared": EXPERTS | {"num_local_experts": 4, "shared_intermediate_size": 24},
    "solar_open": {key: value for key, value in EXPERTS.items() if key != "intermediate_size"}
    | {"n_routed_experts": 4, "moe_intermediate_size": 24, "n_group": 1, "topk_group": 1, "head_dim": 8},
    "youtu": PLAIN | LATENT | {"num_key_value_heads": 4},
    "mellum": WIDE | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24},
    "ministral3": WIDE,
    "hyperclovax": GROUPED,
    "jais2": GROUPED,
    "granite_swa": GROUPED,
    "flint": GROUPED,
    "laguna": EXPERTS,
    "glm4_moe_lite": PLAIN
    | LATENT
    | {"num_key_value_heads": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
    | {"n_group": 1, "topk_group": 1},
    "cohere2_moe": EXPERTS | {"num_experts": 4, "head_dim": 8},
    "exaone_moe": EXPERTS | {"num_experts": 4, "moe_intermediate_size": 24, "head_dim": 8},
}

WITHOUT_HEADS: dict[str, dict[str, Any]] = {"bitnet": GROUPED, "diffllama": GROUPED}
"""Classes whose heads are mixed before they are projected."""
WITHOUT_SUBLAYERS = ("granitemoeshared",)
"""Classes with more than attention and one MLP in a layer."""
STATE = "needs layers that hand on keys and values alone, and it has layers with a state of their own"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "mamba": ({"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "state_size": 4}, STATE),
    "olmo_hybrid": (GROUPED, STATE),
    "recurrent_gemma": (GROUPED, STATE),
    "falcon_h1": (GROUPED, STATE),
    "jamba": (GROUPED, STATE),
    "zaya": (GROUPED, STATE),
    "lfm2": (
        GROUPED | {"layer_types": ["conv", "full_attention", "conv"]},
        "the forward pass .*no attribute 'get_conv",
    ),
    "minimax": (EXPERTS | {"num_local_experts": 4, "head_dim": 8}, "the forward pass .*uses cache of its own"),
    "beam": (GROUPED, r"the decoder layer of .* alone, and is given one of \[1, 1, 16, 1\]"),
    "xlm": ({"vocab_size": VOCABULARY, "emb_dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS}, "the forward pass of"),
    "bart": (
        {"vocab_size": VOCABULARY, "d_model": WIDTH, "decoder_layers": LAYERS, "pad_token_id": 1}
        | {"encoder_layers": 1, "decoder_attention_heads": HEADS, "encoder_attention_heads": HEADS},
        "needs a list of 1 decoder layers, and it has none",
    ),
    "openai-gpt": (OLD, "needs a norm after the last layer, and it has none beside its layers"),
    "doge": (GROUPED, "attention of DogeAttention is given a mask, which is not heeded here"),
}
"""Classes that are refused, with what the sentence says."""


def settings_of(model_type: str) -> dict[str, Any]:
    """Config values of the class's small model."""
    return REFUSED[model_type][0] if model_type in REFUSED else (DECODERS | WITHOUT_HEADS)[model_type]


def small_model(model_type: str, **more: Any) -> transformers.PreTrainedModel:
    """A model of the class with seeded random weights, in which no bias is 0 and no norm's weight is 1."""
    model_class = getattr(transformers, CLASSES[model_type])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = model_class(model_class.config_class(**settings_of(model_type) | more)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * (0.3 if parameter.ndim > 1 else 0.1))
    return model


def saved(model: transformers.PreTrainedModel, folder: Path) -> Path:
    """The checkpoint's folder."""
    model.save_pretrained(folder)
    return folder
