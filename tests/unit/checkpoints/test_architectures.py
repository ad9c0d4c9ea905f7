"""The architecture table: every path must lead to the part that it names, in all six classes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from recite.checkpoints.architectures import ARCHITECTURES, architecture_of
from recite.checkpoints.loading import Checkpoint
from recite.engine.passes import forward
from recite.errors import ReciteError
from recite.kernels.key_values import KeyValues


@contextmanager
def caught(module: nn.Module) -> Iterator[dict[str, Tensor]]:
    """What a module was last given and what it handed on."""
    seen: dict[str, Tensor] = {}

    def keep(module: nn.Module, arguments: Any, output: Any) -> None:
        seen["input"] = arguments[0]
        seen["output"] = output[0] if isinstance(output, tuple) else output

    handle = module.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def layers_of(family: str, model: PreTrainedModel) -> nn.ModuleList:
    """The decoder layers, by the table's path."""
    layers = model.get_submodule(ARCHITECTURES[family].layers)
    assert isinstance(layers, nn.ModuleList)
    return layers


def test_last_layer_norm_and_unembedding_give_the_logits(
    family: str, reference: PreTrainedModel, context: Tensor
) -> None:
    """Logits of a layer that are read through another norm, or twice through it, would be no model's."""
    row = ARCHITECTURES[family]
    with torch.inference_mode(), caught(layers_of(family, reference)[-1]) as last:
        logits = reference(input_ids=context).logits
        normed = reference.get_submodule(row.final_norm)(last["output"])
        found = reference.get_submodule(row.unembedding)(normed)
    torch.testing.assert_close(found, logits, atol=1e-4, rtol=0)


def test_embedding_feeds_the_first_layer(family: str, reference: PreTrainedModel, context: Tensor) -> None:
    """Positions' embeddings, or tokens' of another table, are not the residual stream of a token."""
    row = ARCHITECTURES[family]
    embedding = reference.get_submodule(row.embedding)
    assert embedding is reference.get_input_embeddings()
    first = layers_of(family, reference)[0]
    with torch.inference_mode(), caught(embedding) as looked_up, caught(first) as given:
        reference(input_ids=context)
    assert torch.equal(looked_up["input"], context)
    if family != "starcoder":  # which adds learned positions
        assert torch.equal(looked_up["output"], given["input"])


def test_attention_output_is_given_every_heads_output(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor
) -> None:
    """Heads can be told apart at the projection's input only; a projection of the feed-forward layer has none."""
    width = checkpoint.heads * checkpoint.head_width
    assert (checkpoint.heads, checkpoint.head_width) == (3, 16)
    for layer in range(len(checkpoint.layers)):
        projection = layers_of(family, reference)[layer].get_submodule(ARCHITECTURES[family].attention_output)
        with torch.inference_mode(), caught(projection) as plain, caught(checkpoint.attention_output(layer)) as packed:
            reference(input_ids=context)
            checkpoint.model(input_ids=context, use_cache=False)
        assert plain["input"].shape == packed["input"].shape == (*context.shape, width)
        torch.testing.assert_close(packed["input"], plain["input"], atol=1e-4, rtol=0)


def test_first_token_of_a_head_is_its_value(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor
) -> None:
    """The heads must lie side by side in the projection's input, in the order of the cache, key/value heads shared.

    The first token attends to itself alone, so what its head hands on is its value.
    """
    cache = DynamicCache(config=reference.config)
    projection = layers_of(family, reference)[1].get_submodule(ARCHITECTURES[family].attention_output)
    with torch.inference_mode(), caught(projection) as seen:
        reference(input_ids=context, past_key_values=cache, use_cache=True)
    heads = seen["input"][:, 0].unflatten(-1, (checkpoint.heads, checkpoint.head_width))
    _, values, _ = list(cache)[1]
    for head in range(checkpoint.heads):
        shared = head * checkpoint.shared_heads // checkpoint.heads
        torch.testing.assert_close(heads[:, head], values[:, shared, 0], atol=1e-5, rtol=0)


def test_shared_heads_are_those_that_reach_the_cache(family: str, checkpoint: Checkpoint, context: Tensor) -> None:
    """A cache whose size is predicted from another number of heads overflows the memory, or wastes it."""
    cache = KeyValues(*context.shape)
    with torch.inference_mode():
        forward(checkpoint, context, cache, 1)
    assert set(cache.layers) == {0, 1, 2}
    for keys, values in cache.layers.values():
        expected = (len(context), checkpoint.shared_heads, context.shape[1], checkpoint.head_width)
        assert keys.shape == values.shape == expected
    assert checkpoint.shared_heads == (1 if family == "starcoder" else 3)


def test_unknown_type_is_refused() -> None:
    """What is no decoder is named; a class without a row is taken by its name, with no part."""
    assert all(architecture_of(row.model_type) is row for row in ARCHITECTURES.values())
    assert architecture_of("gpt2").model_class == "GPT2LMHeadModel" and not architecture_of("gpt2").known
    with pytest.raises(
        ReciteError, match=r"'gpt9' is no decoder that transformers 5.* knows; name a checkpoint of one"
    ):
        architecture_of("gpt9")
