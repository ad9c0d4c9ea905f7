"""Weights packed once, when a model is loaded, as the CPU's matrix products read them.

Those of the unembedding are packed in slices, so that a slice's logits are looked at while they are in the caches.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from recite.kernels.allocator import keep_freed

SLICE = 8192
"""Tokens of the vocabulary in one slice of a packed unembedding."""


class PackedLinear(nn.Module):
    """A linear layer, or some of its outputs, whose weights lie as the CPU's matrix-multiply kernels read them."""

    def __init__(self, linear: nn.Linear, rows: int, outputs: slice = slice(None)) -> None:
        super().__init__()
        weight = linear.weight.detach()[outputs]
        self.out_features, self.in_features = weight.shape
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
        if type(module) is nn.Linear:  # others, as a router, do more
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
