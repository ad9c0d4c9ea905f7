"""What a pass runs on: attention, keys and values, packed weights, each against a few lines of plain arithmetic."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from peers import logits_of
from recite.checkpoints.architectures import Shape
from recite.checkpoints.loading import Checkpoint
from recite.checkpoints.training import build_model
from recite.kernels import attention, packing
from recite.kernels.attention import Cut, attend, cutting, watching
from recite.kernels.key_values import KeyValues
from recite.kernels.packing import PackedLinear, SlicedLinear, pack

cpu_only = pytest.mark.skipif(torch.cuda.is_available(), reason="weights are packed on a CPU")


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def attention_by_hand(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """One query at a time, in float64, over the keys up to its own: (rows, queries, heads, width)."""
    rows, heads, queries, width = query.shape
    past, group = key.shape[2] - queries, heads // key.shape[1]
    output = torch.empty(rows, queries, heads, width, dtype=torch.float64)
    for row in range(rows):
        for head in range(heads):
            keys, values = key[row, head // group].double(), value[row, head // group].double()
            for place in range(queries):
                seen = past + place + 1
                scores = keys[:seen] @ query[row, head, place].double() * scaling
                weights = (scores - scores.max()).exp()
                output[row, place, head] = weights / weights.sum() @ values[:seen]
    return output


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("shared", [6, 2, 1])
@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_attention(dtype: torch.dtype, tolerance: float, shared: int, device: str) -> None:
    """A query that sees a later key, or another group's, would know what it is to predict."""
    key, value = (drawn(3, shared, 11, 8, seed=seed, dtype=dtype) for seed in (2, 3))
    for queries in (1, 5, 11):
        query = drawn(3, 6, queries, 8, seed=1, dtype=dtype)
        for scaling in (None, 0.7):
            there = (tensor.to(device) for tensor in (query, key, value))
            output, _ = attend(nn.Module(), *there, None, scaling=scaling)
            assert output.dtype == dtype
            expected = attention_by_hand(query, key, value, scaling or 1 / math.sqrt(8))
            torch.testing.assert_close(output.cpu().double(), expected, atol=tolerance, rtol=tolerance)


def test_attention_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels of GPUs lay out what they return with the heads innermost, which no view turns back into groups."""
    query, key, value = drawn(3, 6, 1, 8, dtype=torch.bfloat16), *(drawn(3, 2, 11, 8, dtype=torch.bfloat16),) * 2
    expected, _ = attend(nn.Module(), query, key, value, None)

    def kernel(*arguments: Any, **options: Any) -> Tensor:
        output = scaled_dot_product_attention(*arguments, **options)
        return output.transpose(1, 2).contiguous().transpose(1, 2)

    monkeypatch.setattr(attention, "scaled_dot_product_attention", kernel)
    output, _ = attend(nn.Module(), query, key, value, None)
    assert torch.equal(output, expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("shared", [6, 2, 1])
@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_weights_and_cuts(dtype: torch.dtype, tolerance: float, shared: int, device: str) -> None:
    """Each row is cut from its own keys, one query or several; weights are those that the output is made with."""
    key, value = (drawn(3, shared, 11, 8, seed=seed, dtype=dtype).to(device) for seed in (2, 3))
    cut = Cut(7, (0, 2, 9), (1, 6, 11))
    for queries in (1, 5, 11):
        query, seen = drawn(3, 6, queries, 8, seed=1, dtype=dtype).to(device), []
        with cutting(cut), watching(lambda _, weights, seen=seen: seen.append(weights)):
            output, _ = attend(nn.Module(), query, key, value, None)
        plain, _ = attend(nn.Module(), query, key, value, None)
        (weights,) = seen
        assert weights.dtype == torch.float32 and weights.shape == (3, 6, queries, 11)
        every = value.repeat_interleave(6 // shared, dim=1).double()
        expected = (weights.double() @ every).transpose(1, 2)
        torch.testing.assert_close(output.double(), expected, atol=tolerance, rtol=tolerance)
        for row, (start, stop) in enumerate(zip(cut.start, cut.stop, strict=True)):
            for place, position in enumerate(range(11 - queries, 11)):
                gone = [k for k in range(11) if position >= cut.queries and start <= k < stop and k != position]
                hidden = [*gone, *range(position + 1, 11)]
                scores = query[row, :, place].double() @ key[row].repeat_interleave(6 // shared, 0).double().mT / 8**0.5
                scores = scores[torch.arange(6), torch.arange(6)]
                scores[:, hidden] = -math.inf
                torch.testing.assert_close(weights[row, :, place].double(), scores.softmax(-1), atol=1e-4, rtol=1e-4)
                if not gone:
                    assert torch.allclose(output[row, place], plain[row, place], atol=tolerance)


def test_attention_leaves_its_arguments_alone() -> None:
    """Keys and values are views of the cache: what is written into them is lost to later steps."""
    query, key, value = (drawn(2, 2, 4, 8, seed=seed) for seed in (1, 2, 3))
    before = [tensor.clone() for tensor in (query, key, value)]
    attend(nn.Module(), query, key, value, None)
    assert all(torch.equal(*pair) for pair in zip((query, key, value), before, strict=True))


def test_keys_and_values_are_written_within_the_window_only() -> None:
    """The rows that fill a batch belong to other passes: what these have stored must stay."""
    cache = KeyValues(10, 6)
    shadow = torch.zeros(10, 2, 6, 4)
    passes = [
        (slice(0, 4), slice(0, 4), 0, 3),
        (slice(4, 8), slice(4, 8), 0, 3),
        (slice(6, 10), slice(8, 10), 0, 3),
        (slice(2, 6), slice(3, 5), 3, 1),
        (slice(0, 4), slice(0, 1), 3, 3),
        (slice(3, 7), slice(3, 7), 2, 2),
    ]
    for number, (window, written, start, fed) in enumerate(passes):
        cache.window, cache.written, cache.start = window, written, start
        key = drawn(4, 2, fed, 4, seed=number)
        keys, values = cache.update(key, -key, 0)
        assert cache.get_seq_length() == start
        for row in range(written.start, written.stop):
            shadow[row, :, start : start + fed] = key[row - window.start]
        assert torch.equal(keys, shadow[window, :, : start + fed])
        assert torch.equal(values, -shadow[window, :, : start + fed])
        assert torch.equal(cache.layers[0][0], shadow)
        assert torch.equal(cache.layers[0][1], -shadow)


def test_layers_are_kept_apart() -> None:
    """One layer's keys must not be another's; each layer has the shape and dtype that it hands over."""
    cache = KeyValues(3, 5)
    first, second = drawn(3, 2, 5, 4, seed=1), drawn(3, 1, 5, 8, seed=2, dtype=torch.bfloat16)
    cache.update(first, first, 0)
    cache.update(second, second, 7)
    assert torch.equal(cache.layers[0][0], first)
    assert torch.equal(cache.layers[7][1], second)


def test_rows_are_moved_as_in_a_list() -> None:
    """Keys of another row would be attended to without any error."""
    cache = KeyValues(9, 2)
    for layer in (0, 1):
        key = drawn(9, 2, 2, 4, seed=layer)
        cache.update(key, 2 * key, layer)
    before = {layer: [tensor.clone() for tensor in pair] for layer, pair in cache.layers.items()}
    to, source = [3, 4, 6, 7], [7, 3, 4, 6]
    rows = list(range(9))
    for place, origin in zip(to, source, strict=True):
        rows[place] = origin
    cache.move(torch.tensor(to), torch.tensor(source))
    for layer, pair in cache.layers.items():
        for now, then in zip(pair, before[layer], strict=True):
            assert torch.equal(now, torch.stack([then[row] for row in rows]))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_linear(dtype: torch.dtype, tolerance: float, bias: bool) -> None:
    """Weights that are packed wrongly, or a lost bias, would make another model, at whatever number of rows."""
    linear = nn.Linear(24, 40, bias=bias, dtype=dtype)
    with torch.no_grad():
        for seed, parameter in enumerate(linear.parameters()):
            parameter.copy_(drawn(*parameter.shape, seed=seed))
    if not packing._packable(dtype):  # this CPU has no kernels for it, and models stay unpacked
        with pytest.raises(RuntimeError, match="needs the cpu support"):
            PackedLinear(linear, rows=8)
        return
    packed = PackedLinear(linear, rows=8)
    with torch.inference_mode():
        for shape in ((8, 24), (1, 24), (3, 24), (8, 1, 24), (5, 7, 24)):
            hidden = drawn(*shape, seed=5, dtype=dtype)
            exact = hidden.double() @ linear.weight.double().T + (linear.bias.double() if bias else 0)
            output = packed(hidden)
            assert (output.dtype, output.shape) == (dtype, (*shape[:-1], 40))
            torch.testing.assert_close(output.double(), exact, atol=tolerance * 5, rtol=tolerance)
            torch.testing.assert_close(output, linear(hidden), atol=tolerance * 5, rtol=tolerance)


@cpu_only
@pytest.mark.parametrize("bias", [True, False])
def test_sliced_linear(bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice lost or out of place would give tokens the logits of others."""
    monkeypatch.setattr(packing, "SLICE", 16)
    linear, hidden = nn.Linear(24, 40, bias=bias), drawn(5, 7, 24)
    sliced = SlicedLinear(linear, rows=8)
    assert [part.out_features for part in sliced.slices] == [16, 16, 8]
    with torch.inference_mode():
        torch.testing.assert_close(sliced(hidden), linear(hidden), atol=1e-5, rtol=1e-5)


@cpu_only
def test_packed_model_has_the_plain_models_logits(
    checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor
) -> None:
    """Every linear layer is replaced: one with the weights of another would be a silent change of model."""
    linear = [module for module in checkpoint.model.modules() if isinstance(module, nn.Linear)]
    packed = [module for module in checkpoint.model.modules() if isinstance(module, PackedLinear)]
    assert not linear
    assert len(packed) == sum(isinstance(module, nn.Linear) for module in reference.modules())
    found, expected = (logits_of(model, context) for model in (checkpoint.model, reference))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@cpu_only
def test_packing_keeps_a_tied_embedding(family: str, checkpoint: Checkpoint, reference: PreTrainedModel) -> None:
    """The embedding shares its weights with the unembedding in some models, and is looked up, not multiplied."""
    embedding, plain = (model.get_input_embeddings() for model in (checkpoint.model, reference))
    assert isinstance(embedding, nn.Embedding) and isinstance(plain, nn.Embedding)
    assert torch.equal(embedding.weight, plain.weight)
    kept = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    linears = [module for module in reference.modules() if isinstance(module, nn.Linear)]
    linear = sum(parameter.numel() for module in linears for parameter in module.parameters())
    tied = reference.config.tie_word_embeddings
    assert kept == checkpoint.parameters - linear + (plain.weight.numel() if tied else 0)
    assert tied == (family in ("starcoder", "olmo1"))


def test_a_dtype_without_kernels_stays_as_it_is(family: str) -> None:
    """Packing is for speed only: where it is impossible the model must work all the same."""
    model = build_model(family, Shape(1, 16, 2), 32, 8, seed=1).double()
    before = {name: type(module) for name, module in model.named_modules()}
    pack(model, 8)
    assert {name: type(module) for name, module in model.named_modules()} == before


@pytest.mark.parametrize("bias", [True, False])
def test_gradient_through_packed_weights(bias: bool) -> None:
    """Prevents a gradient by transposed weights, and one that is silently none."""
    linear = nn.Linear(24, 40, bias=bias)
    packed = PackedLinear(linear, 6)
    hidden, upstream = drawn(2, 3, 24), drawn(2, 3, 40, seed=1)
    found = torch.autograd.grad((packed(hidden.requires_grad_()) * upstream).sum(), hidden)[0]
    torch.testing.assert_close(found, upstream @ linear.weight.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(packed(hidden), linear(hidden), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shared", [4, 2, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient_through_attention(dtype: torch.dtype, shared: int) -> None:
    """The mask is kept from earlier passes without gradients, which must not stop one."""
    query, key, value = drawn(2, 4, 7, 8), drawn(2, shared, 7, 8, seed=1), drawn(2, shared, 7, 8, seed=2)
    with torch.inference_mode():
        attend(nn.Module(), *(tensor.to(dtype) for tensor in (query, key, value)), None)
    leaves = [tensor.to(dtype).requires_grad_() for tensor in (query, key, value)]
    output, _ = attend(nn.Module(), *leaves, None)
    found = torch.autograd.grad(output.float().sum(), leaves)
    exact = [tensor.double().requires_grad_() for tensor in (query, key, value)]
    whole = [tensor.repeat_interleave(4 // shared, dim=1) for tensor in exact[1:]]
    scores = (exact[0] @ whole[0].transpose(-1, -2) / math.sqrt(8)).masked_fill(
        ~torch.ones(7, 7, dtype=torch.bool).tril(), -math.inf
    )
    expected = torch.autograd.grad((scores.softmax(-1) @ whole[1]).sum(), exact)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5 if dtype == torch.float32 else 5e-2, rtol=5e-2)
