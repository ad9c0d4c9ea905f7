"""Noise in the residual stream."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
from torch import Tensor

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import Pass
from recite.engine.interventions.gaussian import row_noise
from recite.engine.residuals import output_changed


class ResidualNoise:
    """Gaussian noise on the output of a decoder layer: H + eps, sigma = alpha * RMS(H).

    `row_ids` names the rows that a pass counts. The RMS is taken per position (`rms="token"`) or over all
    positions of a row's context (`"tensor"`; a generated position is then one by itself); noise falls on the context
    only (`positions="prompt"`) or on what is generated too (`"all"`). Source: the paper's noise injection; see
    docs/measurements.md for what is our choice.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        layer: int,
        row_ids: Sequence[int] | np.ndarray,
        alpha: float,
        seed: int,
        rms: Literal["token", "tensor"],
        positions: Literal["prompt", "all"],
    ) -> None:
        self.module, self.layer = checkpoint.layers[layer], layer
        self.row_ids, self.alpha, self.seed, self.rms, self.positions = row_ids, alpha, seed, rms, positions

    @contextmanager
    def __call__(self, pass_: Pass) -> Iterator[None]:
        """Disturb one pass."""

        with output_changed(self.module, lambda hidden: self._disturb(hidden, pass_)):
            yield

    def _disturb(self, hidden: Tensor, pass_: Pass) -> Tensor:
        fed = hidden.shape[1]
        noisy = fed if self.positions == "all" else min(max(pass_.prompt - pass_.start, 0), fed)
        if noisy == 0:
            return hidden
        end = pass_.start + noisy
        ids = [self.row_ids[row] for row in pass_.rows]
        drawn = row_noise(self.seed, ids, self.layer, pass_.start, end, hidden.shape[2], hidden.device)
        scale = hidden[:, :noisy].float().square().mean(dim=-1, keepdim=True)
        if self.rms == "tensor" and pass_.start < pass_.prompt:
            context = pass_.prompt - pass_.start
            scale[:, :context] = scale[:, :context].mean(dim=1, keepdim=True)
        disturbed = hidden.clone()
        disturbed[:, :noisy] += self.alpha * scale.sqrt().to(hidden.dtype) * drawn.to(hidden.dtype)
        return disturbed
