"""Attention without masks: two matrix products on a CPU, where the kernel of `transformers` is slow at few queries."""

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from recite.errors import ReciteError

ATTENTION = "recite"
"""Name of `attend` among the attention implementations of `transformers`; unlike "sdpa" it is given no mask."""


UNUSED = frozenset(
    {"dropout", "is_causal", "position_ids", "cache_position", "use_cache", "output_attentions"}
    | {"output_hidden_states", "output_router_logits", "logits_to_keep", "return_dict", "position_embeddings"}
)
"""What classes hand to their attention, and what changes nothing here."""


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Causal attention of the last queries over all keys; (rows, queries, heads, width) from (rows, heads, ...).

    Every row has as many keys as every other, and a query sees its own key and all before it. The heads that share
    a key/value head are treated as further queries of it. `softcap` bounds the scores (Gemma 2), `s_aux` (heads,) is
    the score of a key without a value (GPT-OSS). Raises ReciteError for a mask, for more keys than a
    window has, and for what else is not heeded.
    """
    strange = [name for name, given in others.items() if given is not None and name not in UNUSED]
    strange += [] if attention_mask is None else ["a mask"]
    strange += [f"a window of {sliding_window}"] if sliding_window and key.shape[2] > sliding_window else []
    if strange:
        raise ReciteError(
            f"attention of {type(module).__name__} is given {strange[0]}, which is not heeded here; name a "
            "checkpoint of another class."
        )
    rows, heads, queries, width = query.shape
    shared, keys = key.shape[1:3]
    groups = heads // shared
    query = query.reshape(rows, shared, groups * queries, width)
    by_products = query.device.type == "cpu" and query.dtype == torch.float32
    by_products = by_products or softcap is not None or s_aux is not None
    plain = queries == keys and groups == 1 and not by_products
    hidden = None if queries == 1 or plain else _causal(queries, keys, groups, query.dtype, query.device)
    if by_products:
        scores = torch.matmul(query * (scaling or width**-0.5), key.transpose(-1, -2))
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        if hidden is not None:
            scores += hidden
        output = torch.matmul(_weights(scores, s_aux), value)
    else:
        output = scaled_dot_product_attention(query, key, value, attn_mask=hidden, scale=scaling, is_causal=plain)
    return output.reshape(rows, heads, queries, value.shape[-1]).transpose(1, 2).contiguous(), None


def _weights(scores: Tensor, sinks: Tensor | None) -> Tensor:
    """What each key counts for, from its score, (rows, key/value heads, queries, keys); sinks: (heads,)."""
    if sinks is None:
        return scores.softmax(-1)
    rows, shared, queries = scores.shape[:3]
    each = sinks.to(scores.dtype).view(shared, -1, 1).expand(-1, -1, queries * shared // len(sinks))
    return torch.cat([scores, each.reshape(1, shared, queries, 1).expand(rows, -1, -1, -1)], -1).softmax(-1)[..., :-1]


AttentionInterface.register(ATTENTION, attend)


@lru_cache(maxsize=128)
def _causal(queries: int, keys: int, groups: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0 where a query may look and -inf where not, (groups * queries, keys)."""
    with torch.inference_mode(False):  # a tensor of that mode could not be kept for a gradient
        visible = torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries).repeat(groups, 1)
        return torch.zeros(visible.shape, dtype=dtype, device=device).masked_fill(~visible, -math.inf)
