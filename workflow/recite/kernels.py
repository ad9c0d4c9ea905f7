"""What a forward pass runs on: attention without masks, packed weights, keys and values written in place.

`transformers` keeps the model code; three of its parts are replaced, each for a cost that the bench shows.
Its cache copies all keys and values at every step, here they are written into one buffer. Its attention
kernel is slow at few queries on a CPU, here it is two matrix products. Its weights are packed anew by every
multiplication at small batches, here once, when the model is loaded; those of the unembedding in slices, so that
a slice's logits are looked at while they are in the caches.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from recite.allocator import keep_freed

ATTENTION = "recite"
"""Name of `attend` among the attention implementations of `transformers`; unlike "sdpa" it is given no mask."""
SLICE = 8192
"""Tokens of the vocabulary in one slice of a packed unembedding."""


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


class _StoredError(Exception):
    """Leaves a layer whose keys and values are stored and whose output is not wanted."""


class KeyValues:
    """Keys and values of `capacity` rows of `length` positions, as a cache of `transformers`.

    A pass works on a window of consecutive rows; within it only the rows of `written` are stored, the others
    fill the batch. Buffers are made at first use, on the device and in the dtype of what a layer hands over.
    """

    def __init__(self, capacity: int, length: int) -> None:
        self.capacity, self.length = capacity, length
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.window = slice(0, capacity)
        self.written = slice(0, capacity)
        self.start = 0
        self.stores_alone = False

    @contextmanager
    def storing_alone(self) -> Iterator[None]:
        """A block for one layer, which is left as soon as that layer's keys and values are stored."""
        self.stores_alone = True
        try:
            yield
        except _StoredError:
            pass
        finally:
            self.stores_alone = False

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values and hand back all of the window, (rows, heads, positions, width)."""
        if layer not in self.layers:
            self.allocate(layer, key)
        end = self.start + key.shape[2]
        first = self.window.start
        for buffer, new in zip(self.layers[layer], (key, value), strict=True):
            buffer[self.written, :, self.start : end] = new[self.written.start - first : self.written.stop - first]
        if self.stores_alone:
            raise _StoredError
        keys, values = self.layers[layer]
        return keys[self.window, :, :end], values[self.window, :, :end]

    def allocate(self, layer: int, like: Tensor) -> None:
        """Make the buffers of one layer for keys and values like `like`, (rows, heads, positions, width)."""
        shape = (self.capacity, like.shape[1], self.length, like.shape[3])
        self.layers[layer] = (like.new_zeros(shape), like.new_zeros(shape))

    def move(self, to: Tensor, source: Tensor) -> None:
        """Rearrange rows: row `to[k]` becomes what row `source[k]` was."""
        for buffers in self.layers.values():
            for buffer in buffers:
                buffer.index_copy_(0, to.to(buffer.device), buffer.index_select(0, source.to(buffer.device)))

    def get_seq_length(self, layer: int = 0) -> int:
        """Position of a pass's first token, from which `transformers` counts."""
        return self.start


class PackedLinear(nn.Module):
    """A linear layer, or some of its outputs, whose weights lie as the CPU's matrix-multiply kernels read them."""

    def __init__(self, linear: nn.Linear, rows: int, outputs: slice = slice(None)) -> None:
        super().__init__()
        weight = linear.weight.detach()[outputs]
        self.out_features = len(weight)
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        self.bias = None if linear.bias is None else linear.bias.detach()[outputs]

    def forward(self, hidden: Tensor) -> Tensor:
        """`hidden` (..., inputs) to (..., outputs)."""
        arguments = (hidden, self.weight, self.bias)
        output: Tensor = _PackedProduct.apply(*arguments) if hidden.requires_grad else _product(*arguments)
        return output


class SlicedLinear(nn.Module):
    """A packed linear layer of many outputs, in `slices` of SLICE."""

    def __init__(self, linear: nn.Linear, rows: int) -> None:
        super().__init__()
        starts = range(0, linear.out_features, SLICE)
        self.slices = nn.ModuleList(PackedLinear(linear, rows, slice(start, start + SLICE)) for start in starts)

    def forward(self, hidden: Tensor) -> Tensor:
        """`hidden` (..., inputs) to (..., outputs)."""
        return torch.cat([part(hidden) for part in self.slices], dim=-1)


def _product(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    output: Tensor = torch.ops.mkldnn._linear_pointwise(hidden, weight, bias, "none", [], "")
    return output


class _PackedProduct(torch.autograd.Function):
    """The same with a gradient, by what it is given alone; for that the weights are unpacked, each time anew."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.weight = weight
        return _product(hidden, weight, bias)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient @ context.weight.to_dense(), None, None


def pack(model: PreTrainedModel, rows: int) -> None:
    """Pack the weights of every linear layer of a model on the CPU, for passes of about `rows` tokens.

    The unpacked weights are let go, and with them the file that they were mapped from; an embedding that is tied to the
    unembedding stays. A no-op on a GPU and where oneDNN has no kernels for the model's dtype.
    """
    if model.device.type != "cpu" or not _packable(model.dtype):
        return
    unembedding = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            packed = SlicedLinear if module is unembedding else PackedLinear
            model.set_submodule(name, packed(module, rows))
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    keep_freed()


def _packable(dtype: torch.dtype) -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.float32:
        return True
    supported = {
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }
    return dtype in supported and bool(supported[dtype]())


def weight_bytes(model: PreTrainedModel) -> int:
    """Memory of a model's weights, packed or not."""
    tensors = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        if isinstance(module, PackedLinear):
            tensors += [module.weight, *([] if module.bias is None else [module.bias])]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
