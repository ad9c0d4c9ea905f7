"""Attention without masks: two matrix products on a CPU, where the kernel of `transformers` is slow at few queries."""

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

ATTENTION = "recite"
"""Name of `attend` among the attention implementations of `transformers`; unlike "sdpa" it is given no mask."""


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, scaling: float | None = None, **_: Any
) -> tuple[Tensor, None]:
    """Causal attention of the last queries over all keys; (rows, queries, heads, width) from (rows, heads, ...).

    Every row has as many keys as every other, and a query sees its own key and all before it. The heads that share
    a key/value head are treated as further queries of it.
    """
    rows, heads, queries, width = query.shape
    shared, keys = key.shape[1:3]
    groups = heads // shared
    query = query.reshape(rows, shared, groups * queries, width)
    by_products = query.device.type == "cpu" and query.dtype == torch.float32
    plain = queries == keys and groups == 1 and not by_products
    hidden = None if queries == 1 or plain else _causal(queries, keys, groups, query.dtype, query.device)
    if by_products:
        scores = torch.matmul(query * (scaling or width**-0.5), key.transpose(-1, -2))
        if hidden is not None:
            scores += hidden
        output = torch.matmul(scores.softmax(-1), value)
    else:
        output = scaled_dot_product_attention(query, key, value, attn_mask=hidden, scale=scaling, is_causal=plain)
    return output.reshape(rows, heads, queries, width).transpose(1, 2), None


AttentionInterface.register(ATTENTION, attend)


@lru_cache(maxsize=128)
def _causal(queries: int, keys: int, groups: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0 where a query may look and -inf where not, (groups * queries, keys)."""
    with torch.inference_mode(False):  # a tensor of that mode could not be kept for a gradient
        visible = torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries).repeat(groups, 1)
        return torch.zeros(visible.shape, dtype=dtype, device=device).masked_fill(~visible, -math.inf)
