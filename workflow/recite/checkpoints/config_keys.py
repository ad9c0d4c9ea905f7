"""Every key of a config.json that changes what a model computes must be one that its class takes.

`transformers` keeps a key that a class knows nothing of as an attribute and builds the model without it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from transformers import PretrainedConfig

from recite.checkpoints.architectures import Architecture
from recite.checkpoints.rotary import KEYS as ROTARY
from recite.checkpoints.turns import LOCAL
from recite.errors import ReciteError

HARMLESS = re.compile(
    r"""
    # what a file says of itself and of its makers
    architectures | model_type | (torch_)?dtype | transformers_version | _?name_or_path | _commit_hash |
    tokenizer_class | is_llama_config | transformers\.js_config | unsloth_\w+ |
    # special tokens; which one stands before a row is said by `bos` of the registry
    (bos|eos|pad|unk|sep|cls|mask|decoder_start|forced_bos|forced_eos)_token_id | (bos|eos|pad|unk)_token |
    # training
    initializer_(range|factor) | gradient_checkpointing | (attention|hidden|classifier|embedding|residual)_dropout |
    (attn|embd|resid)_pdrop | router_aux_loss_coef |
    # other tasks, and what is handed back beside the logits
    problem_type | id2label | label2id | num_labels | finetuning_task | task_specific_params | return_dict |
    output_(attentions|hidden_states) | keys_to_ignore_at_inference | summary_\w+ | is_decoder |
    # how another program runs the model: its kernels, buffers and rounding, and which of its layers have windows
    use_cache | pretraining_tp | torchscript | use_bfloat16 | tf_legacy_loss | _?attn_implementation\w* |
    _flash_attn_2_enabled | use_flash_\w+ | (scale_)?attention_softmax_in_fp32 | inference_runner | max_batch_size |
    max_sequence_length | pad_key_length | pre_allocate_kv_cache | validate_runner_input | max_window_layers |
    use_sliding_window | cache_implementation | model_max_length | seq_length | (bias_dropout|masked_softmax)_fusion |
    skip_bias_add(_qkv)? | offset_alibi | slow_but_exact | activation_dropout | layerdrop |
    # how `generate` of `transformers` samples a text, which is not used here
    (max|min)_length | max_new_tokens | do_sample | early_stopping | num_beams | num_beam_groups | diversity_penalty |
    temperature | top_[kp] | typical_p | (repetition|length)_penalty | (encoder_)?no_repeat_ngram_size |
    bad_words_ids | num_return_sequences | output_scores | return_dict_in_generate | remove_invalid_values |
    exponential_decay_length_penalty | (begin_)?suppress_tokens | prefix
    """,
    re.VERBOSE,
)
"""Keys that change no logits."""
CHECKED_ELSEWHERE = frozenset({"sliding_window", "auto_map", "quantization_config"})
"""Rows that are longer than a window are refused by `recite.engine.passes`, whatever the class."""
OFF: dict[str, Any] = {
    "add_cross_attention": False,
    "attention_bias": False,
    "chunk_size_feed_forward": 0,
    "is_encoder_decoder": False,
    "logit_scale": 1,
    "logits_scaling": 1,
    "mlp_bias": False,
    "embedding_multiplier": 1,
    "residual_multiplier": 1,
    "pruned_heads": {},
    "qk_layernorm": False,
    "reorder_and_upcast_attn": False,
    "rope_interleaved": False,
    "scale_attn_by_inverse_layer_idx": False,
    "tie_encoder_decoder": False,
    "use_mrope": False,
    "use_qk_norm": False,
    "apply_residual_connection_post_layernorm": False,
}
"""Values at which keys that a class need not know change nothing."""
ALWAYS: dict[str, dict[str, Any]] = {
    "cohere2": {
        "layer_switch": 4,
        "sliding_window_pattern": 4,
        "order_of_interleaved_layers": "local_attn_first",
        "position_embedding_type": "rope_gptj",
        "use_embedding_sharing": True,
        "use_gated_activation": True,
        "use_parallel_block": True,
        "use_parallel_embedding": True,
    },
    "gemma": {"hidden_act": "gelu"},  # which the class takes as what was meant, "gelu_pytorch_tanh"
    "gptj": {"rotary": True, "scale_attn_weights": True},
    "starcoder2": {"mlp_type": "default", "norm_type": "layer_norm", "scale_attn_weights": True},
}
"""Class -> values of keys that it does not have and at which it is what it always is."""
CODE = ("AutoModel", "AutoModelForCausalLM")
"""Entries of `auto_map` that say that the model is code in its folder."""
COUNTS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "n_inner",
    "max_position_embeddings",
    "sliding_window",
)
"""Values that are numbers of things."""
AMOUNTS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "clip_qkv")
"""Values that are sizes of things."""


def check_keys(raw: Mapping[str, Any], config: PretrainedConfig, architecture: Architecture, where: str) -> None:
    """Hold each key of a config.json against the config that was made of it; ReciteError names one that is lost."""
    remote = [value for key, value in (raw.get("auto_map") or {}).items() if key in CODE]
    if remote:
        raise ReciteError(
            f"{where} says by auto_map that the model is code of its own ({remote[0]}), which is not run; name a "
            f"checkpoint of {architecture.model_class}, or remove the key if it is one."
        )
    declared = {field.name for field in fields(config)} | config.attribute_map.keys()
    declared -= {"chunk_size_feed_forward", "is_encoder_decoder"}  # of every class, but for few to use
    elsewhere = CHECKED_ELSEWHERE | (ROTARY if "rope_parameters" in declared else set())
    always = ALWAYS.get(architecture.model_type, {})
    if not architecture.known:  # what a class works out for itself it knows too
        declared |= vars(type(config)()).keys()
        # Many classes take a width of heads that they do not declare; the shapes of their tensors say whether.
        elsewhere |= {"head_dim", *(LOCAL if "rope_parameters" in declared else ())}
    derived = _derived(config, architecture)
    for key in sorted(key for key in raw.keys() - elsewhere if not HARMLESS.fullmatch(key)):
        said = raw[key]
        taken = getattr(config, key, None) if key in declared else derived.get(key, OFF.get(key))
        if said is not None and not _is_taken(said, taken) and always.get(key) != said:
            other = "has no place for" if taken is None else f"takes as {taken!r}"
            raise ReciteError(
                f"{where} says {key} {said!r}, which {architecture.model_class} {other}; name another checkpoint, or "
                "remove the key if it changes nothing."
            )


def _is_taken(said: Any, taken: Any) -> bool:
    """Whether a value is what the config has; of one that is a config itself, whether all of it is."""
    if isinstance(taken, PretrainedConfig) and isinstance(said, dict):
        held = taken.to_dict()
        return all(HARMLESS.fullmatch(key) or value is None or held.get(key) == value for key, value in said.items())
    return taken is not None and (said == taken or (isinstance(taken, tuple) and said == [*taken]))


def _derived(config: PretrainedConfig, architecture: Architecture) -> dict[str, Any]:
    """What a class works out for itself where it does not declare a key."""
    layers = config.num_hidden_layers
    return {
        "head_dim": config.hidden_size // config.num_attention_heads,
        "num_key_value_heads": architecture.shared_heads(config),
        "layer_types": ["full_attention"] * layers,
        "num_layers": layers,
        "hidden_act": getattr(config, "hidden_activation", None),
        "layer_norm_epsilon": getattr(config, "norm_epsilon", None),
        "sliding_window_pattern": getattr(config, "_sliding_window_pattern", None),
        "n_embed": config.hidden_size,
        "n_ctx": getattr(config, "max_position_embeddings", None),
    }


def no_config(where: str, architecture: Architecture, why: str) -> ReciteError:
    """The error for a config.json of which no model can be made."""
    return ReciteError(f"{where} is no config of {architecture.model_class} ({why}); correct it, or fetch it again.")


def check_numbers(config: PretrainedConfig, architecture: Architecture, where: str) -> None:
    """Refuse numbers that no model can have; those that do not fit together are seen by the shapes of its tensors."""
    for keys, kinds, least in ((COUNTS, int, 1), (AMOUNTS, int | float, 0)):
        for key in keys:
            value = getattr(config, key, None)
            none = key == "sliding_window" and value == 0 and not architecture.known
            good = none or (isinstance(value, kinds) and not isinstance(value, bool) and least <= value < math.inf)
            if value is not None and not good:
                raise no_config(where, architecture, f"{key} is {value!r}")
    heads, shared = config.num_attention_heads, architecture.shared_heads(config)
    width = heads if getattr(config, "head_dim", None) is None else 1
    for name, whole, part in (("hidden_size", config.hidden_size, width), ("num_attention_heads", heads, shared)):
        if whole % part:
            raise no_config(where, architecture, f"{name} {whole} is no multiple of {part} heads")
    token = getattr(config, "pad_token_id", None)
    if token is not None and not -config.vocab_size <= token < config.vocab_size:
        raise no_config(
            where,
            architecture,
            f"pad_token_id {token} is outside of its vocabulary of {config.vocab_size} tokens; null will do",
        )
