"""The architecture table: one row a family of the classes that are trained here, with everything that differs.

A class of `transformers` without a row is found by its structure (`recite.checkpoints.structure`) and proved
(`recite.engine.proof`); a row is what is known of it beforehand. The tests run on every row. The module imports no
torch, so that the Snakefile may read it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from recite.errors import ReciteError


class Shape(NamedTuple):
    """Size of a model: decoder layers, residual width, attention heads."""

    layers: int
    width: int
    heads: int


def no_settings(_: Shape) -> dict[str, Any]:
    """No model of the class is made here."""
    raise NotImplementedError


@dataclass(frozen=True)
class Architecture:
    """How one model class of `transformers` is built and where its parts are."""

    model_type: str
    """`model_type` of the checkpoint's config.json."""
    model_class: str
    """Class in `transformers`; its config class has `Config` in place of `ForCausalLM`."""
    embedding: str
    """Dotted path from the model to its token embedding."""
    layers: str
    """Dotted path from the model to its list of decoder layers."""
    final_norm: str
    """Dotted path from the model to the norm before the unembedding."""
    unembedding: str
    """Dotted path from the model to the linear layer that gives the logits."""
    attention_output: str
    """Dotted path from a decoder layer to its attention output projection; its input is heads x width of a head."""
    mlp_output: str
    """Dotted path from a decoder layer to the projection whose input is the MLP's neurons; to a mixture as a whole."""
    shared_heads: Callable[[Any], int]
    """Number of key/value heads, from the config of a checkpoint."""
    settings: Callable[[Shape], dict[str, Any]] = no_settings
    """Config values of a small model of this class, in the proportions of the family's own checkpoints."""
    before_unembedding: tuple[str, ...] = ()
    """Dotted paths to what stands between final norm and unembedding, in order."""
    logit_factor: float = 1.0
    """What the unembedding's products are multiplied by."""
    logit_divisor: float = 1.0
    """What they are divided by."""
    logit_cap: float | None = None
    """Bound c of logits x, as c tanh(x / c); after the factor and the divisor."""
    width_of_head: int | None = None
    """Width of a head's output, where the config does not say it."""
    own_attention: bool = False
    """Whether the class computes attention itself and needs a mask, so that `recite.kernels.attention` has no place."""
    without_heads: str = ""
    """Why a class has no heads that can be replaced, if it has none."""
    without_sublayers: str = ""
    """Why a class has no sublayers that can be replaced, if it has none."""
    known: bool = True
    """Whether this is a row of the table, which needs no proof."""

    @property
    def module(self) -> str:
        """Module of `transformers` in which the class is."""
        return f"transformers.models.{self.model_type}.modeling_{self.model_type}"


def _feed_forward(width: int) -> int:
    """Width of a gated feed-forward layer with about the parameters of a plain one of 4 x width."""
    return round(width * 8 / 3 / 8) * 8


def _gated(shape: Shape) -> dict[str, Any]:
    return {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "intermediate_size": _feed_forward(shape.width),
        "initializer_range": shape.width**-0.5,
        "attention_dropout": 0.0,
    }


def _gpt_neox(shape: Shape) -> dict[str, Any]:
    plain = _gated(shape) | {"intermediate_size": 4 * shape.width, "hidden_dropout": 0.0}
    del plain["num_key_value_heads"]
    return plain


def _gpt_bigcode(shape: Shape) -> dict[str, Any]:
    return {
        "n_embd": shape.width,
        "n_layer": shape.layers,
        "n_head": shape.heads,
        "n_inner": 4 * shape.width,
        "multi_query": True,
        "initializer_range": shape.width**-0.5,
        "attn_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
    }


def _llama_like(model_type: str, model_class: str, settings: Callable[[Shape], dict[str, Any]]) -> Architecture:
    """Llama and the OLMo classes name their parts alike."""
    return Architecture(
        model_type,
        model_class,
        embedding="model.embed_tokens",
        layers="model.layers",
        final_norm="model.norm",
        unembedding="lm_head",
        attention_output="self_attn.o_proj",
        mlp_output="mlp.down_proj",
        shared_heads=lambda config: config.num_key_value_heads,
        settings=settings,
    )


ARCHITECTURES: dict[str, Architecture] = {
    "pythia": Architecture(
        "gpt_neox",
        "GPTNeoXForCausalLM",
        embedding="gpt_neox.embed_in",
        layers="gpt_neox.layers",
        final_norm="gpt_neox.final_layer_norm",
        unembedding="lm_head",
        attention_output="attention.dense",
        mlp_output="mlp.dense_4h_to_h",
        shared_heads=lambda config: config.num_attention_heads,
        settings=_gpt_neox,
    ),
    "openllama": _llama_like("llama", "LlamaForCausalLM", _gated),
    "starcoder": Architecture(
        "gpt_bigcode",
        "GPTBigCodeForCausalLM",
        embedding="transformer.wte",
        layers="transformer.h",
        final_norm="transformer.ln_f",
        unembedding="lm_head",
        attention_output="attn.c_proj",
        mlp_output="mlp.c_proj",
        shared_heads=lambda config: 1 if config.multi_query else config.num_attention_heads,
        settings=_gpt_bigcode,
    ),
    "olmo1": _llama_like("olmo", "OlmoForCausalLM", lambda shape: _gated(shape) | {"tie_word_embeddings": True}),
    "olmo2": _llama_like("olmo2", "Olmo2ForCausalLM", _gated),
    "olmo3": _llama_like("olmo3", "Olmo3ForCausalLM", _gated),
}


def architecture_of(model_type: str) -> Architecture:
    """The row of a checkpoint's `model_type`, or for a class without one its name alone, with no part found yet.

    Raises ReciteError for what is no decoder of `transformers`.
    """
    for architecture in ARCHITECTURES.values():
        if architecture.model_type == model_type:
            return architecture
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CLASSES

    if model_type not in CLASSES:
        raise ReciteError(
            f"architecture {model_type!r} is no decoder that transformers {transformers.__version__} knows; name a "
            "checkpoint of one that it knows, as no code beside a checkpoint is run."
        )
    return Architecture(model_type, CLASSES[model_type], "", "", "", "", "", "", shared_heads_of, known=False)


def feed_forward_of(config: Any) -> int:
    """Width of the feed-forward layer, by the names that classes have for it; 4 x width where none says it."""
    for name in ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff"):
        inner = getattr(config, name, None) or getattr(getattr(config, "ffn_config", None), name, None)
        if inner:
            return int(inner)
    return int(getattr(config, "expansion_ratio", 4) * config.hidden_size)


def shared_heads_of(config: Any) -> int:
    """Number of key/value heads, by the names that classes without a row have for it."""
    if getattr(config, "new_decoder_architecture", False):  # Falcon, whose keys and values are repeated for all heads
        return int(config.num_attention_heads)
    if getattr(config, "multi_query", False):
        return 1
    for name in ("num_key_value_heads", "num_kv_heads", "kv_n_heads"):
        shared = getattr(config, name, None) or getattr(getattr(config, "attn_config", None), name, None)
        if shared is not None:
            return int(shared)
    return int(config.num_attention_heads)
