"""Keys of config.json: published files pass, and a key that would be lost is refused by name."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import transformers

from published_configs import PUBLISHED
from recite.checkpoints.architectures import ARCHITECTURES, architecture_of
from recite.checkpoints.config_keys import HARMLESS
from recite.checkpoints.inspection import make_config
from recite.checkpoints.rotary import KEYS
from recite.errors import ReciteError

LLAMA = PUBLISHED["meta-llama/Llama-2-7b-hf"]
PYTHIA = PUBLISHED["EleutherAI/pythia-1.4b"]
STARCODER = PUBLISHED["bigcode/starcoderbase-1b"]
OLMO1 = PUBLISHED["allenai/OLMo-1B-hf"]
OLMO3 = PUBLISHED["allenai/Olmo-3-1025-7B"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(name: str) -> None:
    """Every one of them must pass, and every value of it that is no remark must be the config's."""
    raw = PUBLISHED[name]
    config, architecture, _ = make_config(raw, name)
    assert architecture.model_type == raw["model_type"]
    for key in raw.keys() - KEYS:
        if (
            hasattr(config, key)
            and raw[key] is not None
            and key not in ("torch_dtype", "dtype", "transformers_version")
        ):
            assert getattr(config, key) == raw[key]


@pytest.mark.parametrize(
    ("raw", "key", "value"),
    [
        (LLAMA, "attention_multiplier", 0.0078125),
        (LLAMA, "residual_multiplier", 0.22),
        (LLAMA, "embedding_multiplier", 12.0),
        (LLAMA, "logits_scaling", 8.0),
        (LLAMA, "logit_scale", 0.0625),
        (LLAMA, "final_logit_softcapping", 30.0),
        (LLAMA, "attn_logit_softcapping", 50.0),
        (LLAMA, "query_pre_attn_scalar", 256),
        (LLAMA, "clip_qkv", 8.0),
        (LLAMA, "rope_interleaved", True),
        (LLAMA, "no_rope_layers", [1, 0]),
        (LLAMA, "layer_types", ["sliding_attention"] * 32),
        (LLAMA, "num_local_experts", 8),
        (LLAMA, "use_qk_norm", True),
        (LLAMA, "pruned_heads", {"0": [1]}),
        (LLAMA, "block_configs", [{"attention": {"no_op": True}}]),
        (LLAMA, "alibi", True),
        (PYTHIA, "mlp_bias", True),
        (PYTHIA, "num_key_value_heads", 4),
        (PYTHIA, "head_dim", 64),
        (PYTHIA, "rms_norm_eps", 1e-6),
        (STARCODER, "scale_attn_by_inverse_layer_idx", True),
        (STARCODER, "num_key_value_heads", 16),
        (STARCODER, "rope_theta", 1e4),
        (STARCODER, "n_ctx", 1024),
        (OLMO1, "rms_norm_eps", 1e-6),
        (OLMO1, "mlp_bias", True),
        (OLMO1, "head_dim", 64),
        (OLMO1, "weight_tying", True),
    ],
)
def test_lost_key(raw: dict[str, Any], key: str, value: Any) -> None:
    """transformers keeps such a key as an attribute and builds the model without it."""
    with pytest.raises(
        ReciteError, match=rf"^config\.json says {key} .*, which \w+ForCausalLM (has no place for|takes as).*remove"
    ):
        make_config(raw | {key: value}, "config.json")


@pytest.mark.parametrize(
    ("raw", "key", "value"),
    [
        (LLAMA, "clip_qkv", None),
        (LLAMA, "sliding_window", 4096),
        (LLAMA, "layer_types", ["full_attention"] * 32),
        (LLAMA, "attention_bias", True),
        (LLAMA, "pruned_heads", {}),
        (LLAMA, "torchscript", False),
        (LLAMA, "task_specific_params", {"text-generation": {"max_length": 50}}),
        (LLAMA, "_attn_implementation_autoset", True),
        (PYTHIA, "use_parallel_residual", False),
        (PYTHIA, "hidden_act", "gelu_fast"),
        (PYTHIA, "num_key_value_heads", 16),
        (STARCODER, "multi_query", False),
        (STARCODER, "num_key_value_heads", 1),
        (STARCODER, "scale_attn_weights", False),
        (STARCODER, "rope_theta", None),
        (OLMO1, "clip_qkv", 8.0),
        (OLMO1, "head_dim", 128),
        (OLMO3, "sliding_window", 128),
    ],
)
def test_honoured_key(raw: dict[str, Any], key: str, value: Any) -> None:
    """What a class takes, what changes nothing at its value, and what is only remarked must not be refused."""
    config, _, _ = make_config(raw | {key: value}, "config.json")
    assert value is None or getattr(config, key) == value


def test_two_values_of_one_thing() -> None:
    """GPTBigCode knows the width by two names, of which one would be lost."""
    with pytest.raises(ReciteError, match=r"says (n_embd 2048|hidden_size 4096), which GPTBigCodeForCausalLM takes as"):
        make_config(STARCODER | {"hidden_size": 4096}, "config.json")


def test_code_of_its_own() -> None:
    """auto_map may name the code of a tokenizer or of the config, but not that of another model."""
    make_config(
        LLAMA | {"auto_map": {"AutoTokenizer": ["tokenization.Own", None], "AutoConfig": "c.Own"}}, "config.json"
    )
    for entry in ("AutoModelForCausalLM", "AutoModel"):
        with pytest.raises(ReciteError, match=r"auto_map that the model is code of its own \(modeling\.Own\)"):
            make_config(LLAMA | {"auto_map": {entry: "modeling.Own"}}, "config.json")


@pytest.mark.parametrize(
    ("raw", "keys", "why"),
    [
        (LLAMA, {"pad_token_id": 32000}, "pad_token_id 32000 is outside of its vocabulary of 32000 tokens"),
        (LLAMA, {"pad_token_id": 32016}, "pad_token_id 32016"),
        (LLAMA, {"pad_token_id": -32001}, "pad_token_id -32001"),
        (LLAMA, {"pad_token_id": "0"}, "pad_token_id"),
        (LLAMA, {"num_attention_heads": 0}, "num_attention_heads|zero"),
        (LLAMA, {"num_attention_heads": 24}, "24"),
        (LLAMA, {"num_attention_heads": None}, "num_attention_heads"),
        (LLAMA, {"num_key_value_heads": 5}, "num_attention_heads 32 is no multiple of 5 heads"),
        (LLAMA, {"num_key_value_heads": [32] * 32}, "num_key_value_heads"),
        (LLAMA, {"hidden_size": -4096}, "hidden_size is -4096"),
        (LLAMA, {"hidden_size": 4096.0}, "hidden_size"),
        (LLAMA, {"intermediate_size": [11008]}, "intermediate_size"),
        (LLAMA, {"num_hidden_layers": "two"}, "num_hidden_layers"),
        (LLAMA, {"num_hidden_layers": True}, "num_hidden_layers"),
        (LLAMA, {"vocab_size": 0}, "vocab_size"),
        (LLAMA, {"rms_norm_eps": -1e-6}, "rms_norm_eps is -1e-06"),
        (LLAMA, {"rms_norm_eps": float("nan")}, "rms_norm_eps is nan"),
        (LLAMA, {"max_position_embeddings": 0}, "max_position_embeddings"),
        (LLAMA, {"head_dim": 0}, "head_dim"),
        (OLMO1, {"num_attention_heads": 5}, "hidden_size 2048 is no multiple of 5 heads"),
        (OLMO1, {"clip_qkv": -8.0}, "clip_qkv is -8.0"),
        (OLMO3, {"sliding_window": 0}, "sliding_window is 0"),
        (OLMO3, {"layer_types": ["full_attention"]}, "layer_types"),
        (OLMO3, {"layer_types": ["some_attention"] * 32}, "layer_types"),
        (STARCODER, {"n_inner": -1}, "n_inner is -1"),
        (STARCODER, {"n_positions": None}, "n_positions|max_position_embeddings"),
    ],
    ids=lambda value: str(value)[:40] if "model_type" not in value else value["model_type"],
)
def test_no_config(raw: dict[str, Any], keys: dict[str, Any], why: str) -> None:
    """What ends in an assertion, a division by zero or not at all when a model is made of it."""
    with pytest.raises(ReciteError, match=rf"^config\.json is no config of \w+ForCausalLM \(.*({why})") as refusal:
        make_config(raw | keys, "config.json")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("model_type", sorted({row.model_type for row in ARCHITECTURES.values()}))
def test_what_a_class_declares_it_uses(model_type: str) -> None:
    """A declared key counts as taken: it must stand in the source of the class, or change no logits."""
    model_class = getattr(transformers, architecture_of(model_type).model_class)
    source = Path(__import__(model_class.__module__, fromlist=["x"]).__file__).read_text()
    config_class = model_class.config_class
    names = {name: key for key, name in config_class.attribute_map.items()}
    of_all = {"tie_word_embeddings", "chunk_size_feed_forward", "is_encoder_decoder", "rope_parameters"}
    declared = {field.name for field in fields(config_class)} - of_all
    for key in sorted(key for key in declared if not HARMLESS.fullmatch(key)):
        assert re.search(rf"config\.({key}|{names.get(key, key)})\b|\"{key}\"", source), key
