"""Noise in the residual stream: its size, its sameness whatever the batch, and that it goes away again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recite.checkpoints import Checkpoint
from recite.engine import Intervention, continue_greedily
from recite.interventions import RowNoise, residual_noise

LAYER = 1


@contextmanager
def outputs_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a layer hands on."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, arguments: Any, output: Any) -> None:
        seen.append((output[0] if isinstance(output, tuple) else output).clone())

    handle = layer.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def noise_at(checkpoint: Checkpoint, alpha: float, ids: list[int], **options: str) -> Intervention:
    """The intervention of a noise job."""
    settings = {"rms": "token", "positions": "prompt"} | options
    layer = checkpoint.layers[LAYER]
    return lambda rows: residual_noise(layer, LAYER, [ids[row] for row in rows], alpha, seed=9, **settings)


def added(checkpoint: Checkpoint, context: Tensor, alpha: float, rms: str) -> tuple[Tensor, Tensor]:
    """The undisturbed output of the layer, and what noise added to it."""
    layer = checkpoint.layers[LAYER]
    with torch.inference_mode(), outputs_of(layer) as clean:
        checkpoint.model(input_ids=context)
    ids = list(range(len(context)))
    with (
        torch.inference_mode(),
        residual_noise(layer, LAYER, ids, alpha, 9, rms, "prompt"),
        outputs_of(layer) as noisy,
    ):
        checkpoint.model(input_ids=context)
    return clean[0], noisy[0] - clean[0]


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_strength_per_token(checkpoint: Checkpoint, context: Tensor, alpha: float) -> None:
    """sigma / RMS must be alpha within 1%, whatever the size of the residual stream."""
    clean, noise = added(checkpoint, context.repeat(8, 1), alpha, "token")
    scale = clean.square().mean(dim=-1, keepdim=True).sqrt()
    assert float((noise / scale).std()) == pytest.approx(alpha, rel=0.01)


@pytest.mark.parametrize(("rms", "axes"), [("token", (-1,)), ("tensor", (-2, -1))])
def test_scale_of_each_position(checkpoint: Checkpoint, context: Tensor, rms: str, axes: tuple[int, ...]) -> None:
    """With one RMS a row all its positions get noise of one size; with one a position each gets its own."""
    clean, noise = added(checkpoint, context, 0.3, rms)
    scale = clean.square().mean(dim=axes, keepdim=True).sqrt()
    drawn = np.stack([RowNoise(9, row, LAYER).next(*clean.shape[1:]) for row in range(len(context))])
    torch.testing.assert_close(noise, 0.3 * scale * torch.from_numpy(drawn), rtol=1e-3, atol=1e-4)


def test_zero_strength_is_bit_identical(checkpoint: Checkpoint, context: Tensor) -> None:
    """Strength zero must be the undisturbed score itself."""
    clean = continue_greedily(checkpoint.model, context, 16, 8)
    noisy = continue_greedily(checkpoint.model, context, 16, 8, noise_at(checkpoint, 0.0, list(range(23))))
    assert torch.equal(clean.tokens, noisy.tokens)
    assert torch.equal(clean.margin, noisy.margin)


@pytest.mark.parametrize("positions", ["prompt", "all"])
def test_a_row_gets_the_same_noise_in_any_batch(checkpoint: Checkpoint, context: Tensor, positions: str) -> None:
    """Noise drawn batch by batch would change with the shard and the order of the rows."""
    ids = [1000 + 7 * row for row in range(23)]
    whole = continue_greedily(checkpoint.model, context, 16, 8, noise_at(checkpoint, 0.4, ids, positions=positions))
    order = torch.randperm(23, generator=torch.Generator().manual_seed(2))
    moved = [ids[row] for row in order]
    again = continue_greedily(
        checkpoint.model, context[order], 16, 8, noise_at(checkpoint, 0.4, moved, positions=positions)
    )
    assert torch.equal(whole.tokens[order], again.tokens)
    assert torch.equal(whole.margin[order], again.margin)


def test_prompt_noise_leaves_later_steps_alone(checkpoint: Checkpoint, context: Tensor) -> None:
    """Noise on every step is another measurement; prompt-only noise must fall on the first pass only."""
    ids = list(range(23))
    first, later = (
        [
            continue_greedily(checkpoint.model, context, steps, 8, noise_at(checkpoint, 0.5, ids, positions=p))
            for p in ("prompt", "all")
        ]
        for steps in (1, 24)
    )
    assert torch.equal(first[0].margin, first[1].margin)
    assert not torch.equal(later[0].margin, later[1].margin)


def test_model_is_restored_after_an_error(checkpoint: Checkpoint, context: Tensor) -> None:
    """A hook left behind would disturb whatever the process computes next."""
    clean = continue_greedily(checkpoint.model, context, 4, 8)
    with pytest.raises(KeyError), noise_at(checkpoint, 0.5, list(range(23)))([0, 1]):
        raise KeyError
    again = continue_greedily(checkpoint.model, context, 4, 8)
    assert torch.equal(clean.margin, again.margin)


def test_row_noise_depends_on_seed_row_and_layer_only() -> None:
    """The stream of a row must not shift with how many positions are asked for at once."""
    at_once = RowNoise(1, 2, 3).next(40, 16)
    stream = RowNoise(1, 2, 3)
    pieces = np.concatenate([stream.next(n, 16) for n in (32, 1, 7)])
    assert np.array_equal(at_once, pieces)
    for other in (RowNoise(2, 2, 3), RowNoise(1, 3, 3), RowNoise(1, 2, 4)):
        assert not np.array_equal(at_once, other.next(40, 16))
