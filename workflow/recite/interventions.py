"""Interventions: context managers that change a forward pass and always restore the model."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class RowNoise:
    """Standard normal noise of one row at one layer, read position by position.

    A function of (seed, row id, layer, position) alone: each row has its own counter-based stream
    (Philox), whose k-th block of `width` numbers belongs to position k.
    """

    def __init__(self, seed: int, row_id: int, layer: int) -> None:
        key = hashlib.blake2b(f"noise\x1f{seed}\x1f{row_id}\x1f{layer}".encode(), digest_size=16).digest()
        self._stream = np.random.Generator(np.random.Philox(key=np.frombuffer(key, np.uint64)))

    def next(self, positions: int, width: int) -> np.ndarray:
        """Noise of the next `positions` positions, (positions, width) float32."""
        return self._stream.standard_normal((positions, width), dtype=np.float32)


@contextmanager
def residual_noise(
    layer: nn.Module, number: int, row_ids: Sequence[int], alpha: float, seed: int, rms: str, positions: str
) -> Iterator[None]:
    """Add Gaussian noise to the output of a decoder layer: H + eps, sigma = alpha * RMS(H).

    `layer` is the module, `number` its index; `row_ids` names the batch's rows in order. The RMS is
    taken per position (`rms="token"`) or over all positions of a row that one pass computes
    (`"tensor"`); noise falls on the first pass, the prompt, only (`positions="prompt"`) or on every
    one (`"all"`). Source: the paper's noise injection; see docs/measurements.md for what is our choice.
    """
    streams = [RowNoise(seed, row_id, number) for row_id in row_ids]
    passes = 0

    def add_noise(module: nn.Module, arguments: Any, output: Any) -> Any:
        nonlocal passes
        passes += 1
        if passes > 1 and positions == "prompt":
            return output
        hidden: Tensor = output[0] if isinstance(output, tuple) else output
        noisy = hidden + alpha * _root_mean_square(hidden, rms).to(hidden.dtype) * _draw(streams, hidden)
        return (noisy, *output[1:]) if isinstance(output, tuple) else noisy

    handle = layer.register_forward_hook(add_noise)
    try:
        yield
    finally:
        handle.remove()


def _root_mean_square(hidden: Tensor, rms: str) -> Tensor:
    """RMS of (rows, positions, width) per position, or per row; broadcasts against `hidden`."""
    axes = (-1,) if rms == "token" else (-2, -1)
    return hidden.float().square().mean(dim=axes, keepdim=True).sqrt()


def _draw(streams: Sequence[RowNoise], hidden: Tensor) -> Tensor:
    drawn = np.stack([stream.next(hidden.shape[1], hidden.shape[2]) for stream in streams])
    return torch.from_numpy(drawn).to(hidden.device, hidden.dtype)
