"""Attention without masks: two matrix products on a CPU, where the kernel of `transformers` is slow at few queries.

Its weights can be watched, and keys can be cut from queries.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple

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

Watch = Callable[[nn.Module, Tensor], None]
"""Given a module that attends and its weights, (rows, heads, queries, keys) float32, the last query's key the last."""


class Cut(NamedTuple):
    """Keys that some queries do not see, by positions: those from `queries` on, of row i keys [start[i], stop[i]).

    A query sees its own key all the same. Weights are those of a softmax over what is left.
    """

    queries: int
    start: tuple[int, ...]
    stop: tuple[int, ...]


_cut: ContextVar[Cut | None] = ContextVar("cut", default=None)
_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def cutting(cut: Cut) -> Iterator[None]:
    """Within the block these keys are cut from these queries wherever there is attention."""
    before = _cut.set(cut)
    try:
        yield
    finally:
        _cut.reset(before)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Within the block `watch` is given the weights wherever there is attention, whose output has the same bits."""
    before = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(before)


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
    _refuse(module, others, attention_mask, sliding_window, key.shape[2])
    rows, heads, queries, width = query.shape
    shared, keys = key.shape[1:3]
    groups, cut, watch = heads // shared, _cut.get(), _watch.get()
    query = query.reshape(rows, shared, groups * queries, width)
    by_products = query.device.type == "cpu" and query.dtype == torch.float32
    by_products = by_products or softcap is not None or s_aux is not None
    plain = queries == keys and groups == 1 and not by_products and cut is None
    hidden = None if plain else _hidden(queries, keys, groups, cut, query.dtype, query.device)
    scale = scaling or width**-0.5
    if by_products:
        weights = _weights(query * scale, key, hidden, softcap, s_aux)
        output = torch.matmul(weights, value)
    else:
        output = scaled_dot_product_attention(query, key, value, attn_mask=hidden, scale=scaling, is_causal=plain)
    if watch is not None:
        if not by_products:
            hidden = _hidden(queries, keys, groups, cut, torch.float32, query.device)
            weights = _weights(query.float() * scale, key.float(), hidden)
        watch(module, weights.reshape(rows, heads, queries, keys).float())
    return output.reshape(rows, heads, queries, value.shape[-1]).transpose(1, 2).contiguous(), None


def _refuse(module: nn.Module, others: dict[str, Any], mask: Tensor | None, window: int | None, keys: int) -> None:
    """Raise ReciteError for what `attend` is given and does not heed."""
    strange = [name for name, given in others.items() if given is not None and name not in UNUSED]
    strange += [] if mask is None else ["a mask"]
    strange += [f"a window of {window}"] if window and keys > window else []
    if strange:
        raise ReciteError(
            f"attention of {type(module).__name__} is given {strange[0]}, which is not heeded here; name a "
            "checkpoint of another class."
        )


def _weights(
    query: Tensor, key: Tensor, hidden: Tensor | None, softcap: float | None = None, sinks: Tensor | None = None
) -> Tensor:
    """What each key counts for, (rows, key/value heads, queries, keys), from scaled queries; sinks: (heads,)."""
    scores = torch.matmul(query, key.transpose(-1, -2))
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if hidden is not None:
        scores += hidden
    if sinks is None:
        return scores.softmax(-1)
    rows, shared, queries = scores.shape[:3]
    each = sinks.to(scores.dtype).view(shared, -1, 1).expand(-1, -1, queries * shared // len(sinks))
    return torch.cat([scores, each.reshape(1, shared, queries, 1).expand(rows, -1, -1, -1)], -1).softmax(-1)[..., :-1]


AttentionInterface.register(ATTENTION, attend)


def _hidden(
    queries: int, keys: int, groups: int, cut: Cut | None, dtype: torch.dtype, device: torch.device
) -> Tensor | None:
    """0 where a query may look and -inf where not, of (..., groups * queries, keys); None where the only one sees all.

    Alike for all rows, or where keys are cut (rows, 1, ...).
    """
    if cut is not None:
        return _without(queries, keys, groups, cut, dtype, device)
    return None if queries == 1 else _causal(queries, keys, groups, dtype, device)


@lru_cache(maxsize=128)
def _causal(queries: int, keys: int, groups: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a tensor of that mode could not be kept for a gradient
        visible = torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries).repeat(groups, 1)
        return torch.zeros(visible.shape, dtype=dtype, device=device).masked_fill(~visible, -math.inf)


@lru_cache(maxsize=1)  # for the layers of a pass
def _without(queries: int, keys: int, groups: int, cut: Cut, dtype: torch.dtype, device: torch.device) -> Tensor:
    key = torch.arange(keys, device=device)
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    start, stop = (torch.tensor(ends, device=device)[:, None, None] for ends in (cut.start, cut.stop))
    gone = (query >= cut.queries) & (key >= start) & (key < stop) & (key != query)
    hidden = ((key > query) | gone).repeat(1, groups, 1)[:, None]
    return torch.zeros(hidden.shape, dtype=dtype, device=device).masked_fill(hidden, -math.inf)
