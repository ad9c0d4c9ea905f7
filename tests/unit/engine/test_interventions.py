"""Noise in the residual stream and heads replaced: held against hooks and weights written by hand, and taken back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peers import logits_of
from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import Intervention, Pass, continue_greedily
from recite.engine.interventions.gaussian import row_noise
from recite.engine.interventions.heads import HeadReplacement, Replacement
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.passes import forward
from recite.kernels.key_values import KeyValues
from turns import in_turn

LAYER = 1
LAYERS, HEADS, WIDTH = 3, 3, 16
"""Of the models of conftest.py."""
NEAR_TIE = 1e-4
CPU = torch.device("cpu")


@contextmanager
def outputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a layer hands on."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, arguments: Any, output: Any) -> None:
        seen.append((output[0] if isinstance(output, tuple) else output).clone().cpu())

    handle = layer.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def noise_at(checkpoint: Checkpoint, alpha: float, ids: list[int], **options: Any) -> Intervention:
    """The intervention of a noise job."""
    settings = {"rms": "token", "positions": "prompt"} | options
    return ResidualNoise(checkpoint, LAYER, ids, alpha, 9, **settings)


def added(checkpoint: Checkpoint, context: Tensor, prompt: int, alpha: float, **options: str) -> tuple[Tensor, Tensor]:
    """The undisturbed output of the layer, and what noise added to it, in one pass over prompt and continuation."""
    layer, rows = checkpoint.layers[LAYER], list(range(len(context)))
    with torch.inference_mode(), outputs_of(layer) as clean:
        logits_of(checkpoint.model, context)
    with (
        torch.inference_mode(),
        noise_at(checkpoint, alpha, rows, **options)(Pass(rows, 0, prompt)),
        outputs_of(layer) as noisy,
    ):
        logits_of(checkpoint.model, context)
    return clean[0], noisy[0] - clean[0]


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_strength_per_token(checkpoint: Checkpoint, context: Tensor, alpha: float) -> None:
    """sigma / RMS must be alpha within 1%, whatever the size of the residual stream."""
    clean, noise = added(checkpoint, context.repeat(8, 1), 32, alpha)
    scale = clean.square().mean(dim=-1, keepdim=True).sqrt()
    assert float((noise / scale).std()) == pytest.approx(alpha, rel=0.01)


def test_scale_of_each_position(family: str, checkpoint: Checkpoint, context: Tensor) -> None:
    """One RMS a row is that of its context alone: with the draft's tokens in it, the draft would change the noise."""
    rms, positions = in_turn(family, list(product(("tensor", "token"), ("all", "prompt"))))
    prompt = 20
    clean, noise = added(checkpoint, context, prompt, 0.3, rms=rms, positions=positions)
    for row in range(len(context)):
        drawn = row_noise(9, [row], LAYER, 0, 32, clean.shape[2], CPU)[0]
        for place in range(32):
            over = clean[row, :prompt] if rms == "tensor" and place < prompt else clean[row, place]
            size = 0.3 * over.square().mean().sqrt() if positions == "all" or place < prompt else 0.0
            torch.testing.assert_close(noise[row, place], size * drawn[place], rtol=1e-3, atol=1e-4)


def test_zero_strength_is_bit_identical(checkpoint: Checkpoint, context: Tensor) -> None:
    """Strength zero must be the undisturbed score itself."""
    clean = continue_greedily(checkpoint, context, 16, 8)
    noisy = continue_greedily(checkpoint, context, 16, 8, intervention=noise_at(checkpoint, 0.0, list(range(23))))
    assert torch.equal(clean.tokens, noisy.tokens)
    assert torch.equal(clean.margin, noisy.margin)


def test_a_row_gets_the_same_noise_in_any_batch(family: str, checkpoint: Checkpoint, context: Tensor) -> None:
    """Noise drawn batch by batch would change with the shard and the order of the rows."""
    positions = in_turn(family, ["prompt", "all"])
    ids = [1000 + 7 * row for row in range(23)]
    noise = noise_at(checkpoint, 0.4, ids, positions=positions)
    whole = continue_greedily(checkpoint, context, 16, 8, intervention=noise)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(2))
    moved = noise_at(checkpoint, 0.4, [ids[row] for row in order], positions=positions)
    again = continue_greedily(checkpoint, context[order], 16, 8, intervention=moved)
    assert torch.equal(whole.tokens[order], again.tokens)
    assert torch.equal(whole.margin[order], again.margin)


def test_a_draft_does_not_change_noisy_rows(family: str, checkpoint: Checkpoint, context: Tensor) -> None:
    """Noise must belong to a position, not to the pass or the chunk in which the position is fed."""
    rms = in_turn(family, ["token", "tensor"])
    noise = noise_at(checkpoint, 0.2, list(range(23)), rms=rms, positions="all")
    plain = continue_greedily(checkpoint, context, 20, 8, intervention=noise)
    draft = plain.tokens.clone()
    for row in range(20):
        draft[row, row] = (draft[row, row] + 1) % 300
    found = continue_greedily(checkpoint, context, 20, 8, draft=draft, intervention=noise, block_batches=2)
    sure = torch.minimum(plain.margin, found.margin) >= NEAR_TIE
    assert sure.sum() > 20
    assert torch.equal(found.tokens[sure], plain.tokens[sure])
    torch.testing.assert_close(found.margin, plain.margin, atol=NEAR_TIE, rtol=0)


def test_prompt_noise_leaves_later_steps_alone(checkpoint: Checkpoint, context: Tensor) -> None:
    """Noise on every step is another measurement; prompt-only noise must fall on the first pass only."""
    ids = list(range(23))
    first, later = (
        [
            continue_greedily(
                checkpoint, context, steps, 8, intervention=noise_at(checkpoint, 0.5, ids, positions=positions)
            )
            for positions in ("prompt", "all")
        ]
        for steps in (1, 24)
    )
    assert torch.equal(first[0].margin, first[1].margin)
    assert not torch.equal(later[0].margin, later[1].margin)


def test_model_is_restored_after_an_error(checkpoint: Checkpoint, context: Tensor) -> None:
    """A hook left behind would disturb whatever the process computes next."""
    clean = continue_greedily(checkpoint, context, 4, 8)
    for intervention in (
        noise_at(checkpoint, 0.5, list(range(23))),
        HeadReplacement(checkpoint, LAYER, torch.zeros(23, dtype=torch.int64)),
    ):
        with pytest.raises(KeyError), intervention(Pass([0, 1], 0, 32)):
            raise KeyError
    again = continue_greedily(checkpoint, context, 4, 8)
    assert torch.equal(clean.margin, again.margin)


Rewrite = Callable[[Tensor], Tensor]
"""From the heads' outputs (rows, positions, heads x width) to what the projection is given instead."""


def others_mean(head: int) -> Rewrite:
    """One head's slice becomes the mean of the two others'."""

    def rewrite(mixed: Tensor) -> Tensor:
        parts = list(mixed.split(WIDTH, dim=-1))
        others = [part for index, part in enumerate(parts) if index != head]
        parts[head] = (others[0] + others[1]) / 2
        return torch.cat(parts, dim=-1)

    return rewrite


def taken_from(head: int, source: Tensor) -> Rewrite:
    """One head's slice becomes the same slice of `source`."""

    def rewrite(mixed: Tensor) -> Tensor:
        span = slice(head * WIDTH, (head + 1) * WIDTH)
        mixed = mixed.clone()
        mixed[..., span] = source.expand_as(mixed)[..., span]
        return mixed

    return rewrite


def projection_of(family: str, model: PreTrainedModel, layer: int) -> nn.Linear:
    """The attention output projection, found by hand."""
    module = model.get_submodule(f"{ARCHITECTURES[family].layers}.{layer}.{ARCHITECTURES[family].attention_output}")
    assert isinstance(module, nn.Linear)
    return module


def logits_by_hand(
    family: str, reference: PreTrainedModel, tokens: Tensor, layer: int, head: int, by: Replacement, values: Tensor
) -> Tensor:
    """Logits of the plain model without one head: no weights for it, or a hook that rewrites its slice."""
    if by == "zero":
        changed = deepcopy(reference)
        weight = projection_of(family, changed, layer).weight
        with torch.no_grad():
            weight[:, head * WIDTH : (head + 1) * WIDTH] = 0
        with torch.inference_mode():
            return changed(input_ids=tokens).logits
    rewrite = others_mean(head) if by == "mean_of_others" else taken_from(head, values)
    handle = projection_of(family, reference, layer).register_forward_pre_hook(lambda _, given: (rewrite(given[0]),))
    try:
        with torch.inference_mode():
            return reference(input_ids=tokens).logits
    finally:
        handle.remove()


def test_replaced_head(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor) -> None:
    """Another head, another layer or another row's numbers would still give plausible logits.

    All rows without one head, then rows with different heads side by side, of a batch in which rows recur, in two
    passes: each row must get what it gets when its head is replaced in all.
    """
    by: Replacement = in_turn(family, ["resample", "dataset_mean", "mean_of_others", "zero"])
    tokens = context[:4, :12]
    generator = torch.Generator().manual_seed(11)
    shape = (HEADS * WIDTH,) if by == "dataset_mean" else (5, 12, HEADS * WIDTH)
    values = torch.randn(shape, generator=generator)
    donors = torch.tensor([4, 0, 0, 3])
    own = values if by == "dataset_mean" else values[donors]
    clean = logits_of(checkpoint.model, tokens)
    for layer in range(LAYERS):
        expected = []
        for head in range(HEADS):
            expected.append(logits_by_hand(family, reference, tokens, layer, head, by, own))
            replacement = HeadReplacement(checkpoint, layer, torch.full((4,), head), by, values, donors)
            with replacement(Pass([0, 1, 2, 3], 0, 12)):
                found = logits_of(checkpoint.model, tokens)
            torch.testing.assert_close(found, expected[head], atol=2e-5, rtol=0)
            assert (found - clean).abs().amax() > 1e-3
        heads, rows = torch.tensor([2, 0, 1, 2]), [3, 1, 0, 2, 1]
        replacement = HeadReplacement(checkpoint, layer, heads, by, values, donors)
        cache = KeyValues(5, 12)
        parts = []
        for start, end in ((0, 7), (7, 12)):
            cache.start = start
            with torch.inference_mode(), replacement(Pass(rows, start, 7)):
                fed = tokens[rows, start:end].to(checkpoint.model.device)
                parts.append(forward(checkpoint, fed, cache, end - start).cpu())
        for place, row in enumerate(rows):
            found = torch.cat(parts, dim=1)[place]
            torch.testing.assert_close(found, expected[int(heads[row])][row], atol=2e-5, rtol=0)
    assert torch.equal(logits_of(checkpoint.model, tokens), clean)
