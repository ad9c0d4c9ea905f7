"""Attention heads replaced."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import Pass
from recite.errors import ReciteError

Replacement = Literal["mean_of_others", "zero", "dataset_mean", "resample"]


class HeadReplacement:
    """One attention head's output replaced, at the input of the attention output projection of one layer.

    Row i has head `heads[i]` replaced. `by` says by what: the mean of the layer's other heads at the same position
    (the paper's), zero, the head's mean over a data set, or the same head's output for another row at the same place.
    The last two take their numbers from `values`: (heads x width) means, or (rows, positions, heads x width) outputs of
    which row i takes row `donors[i]`. Source: the paper's head ablation; the alternatives are our choice.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        layer: int,
        heads: Tensor,
        by: Replacement = "mean_of_others",
        values: Tensor | None = None,
        donors: Tensor | None = None,
    ) -> None:
        if by == "mean_of_others" and checkpoint.heads == 1:
            raise ReciteError("a layer with one head has no others to replace it by; choose another replacement.")
        self.projection = checkpoint.attention_output(layer)
        self.count, self.heads, self.by, self.values, self.donors = checkpoint.heads, heads, by, values, donors

    @contextmanager
    def __call__(self, pass_: Pass) -> Iterator[None]:
        """Replace the heads in one pass."""
        rows = torch.tensor(pass_.rows)

        def replace(module: nn.Module, arguments: Any) -> tuple[Tensor]:
            (mixed,) = arguments
            outputs = mixed.unflatten(-1, (self.count, -1)).clone()
            heads, batch = self.heads[rows].to(outputs.device), torch.arange(len(rows), device=outputs.device)
            outputs[batch, :, heads] = self.replacement(outputs, rows, pass_.start)
            return (outputs.flatten(-2),)

        with self.projection.register_forward_pre_hook(replace):
            yield

    def replacement(self, outputs: Tensor, rows: Tensor, start: int = 0) -> Tensor:
        """New output of the head of each of `rows`, (rows, positions, width), where all heads' are `outputs`.

        `outputs` (rows, positions, heads, width) begin at the position `start`.
        """
        heads, batch = self.heads[rows].to(outputs.device), torch.arange(len(rows), device=outputs.device)
        replaced = outputs[batch, :, heads]
        if self.by == "zero":
            return torch.zeros_like(replaced)
        if self.by == "mean_of_others":
            return ((outputs.float().sum(dim=2) - replaced.float()) / (self.count - 1)).to(outputs.dtype)
        assert self.values is not None
        if self.by == "dataset_mean":
            means = self.values.to(outputs.device, outputs.dtype).unflatten(-1, (self.count, -1))
            return means[heads][:, None].expand_as(replaced)
        assert self.donors is not None
        donors = self.values[self.donors[rows].to(self.values.device), start : start + outputs.shape[1]]
        return donors.to(outputs.device, outputs.dtype).unflatten(-1, (self.count, -1))[batch, :, heads]
