"""Attention heads replaced."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
        self.projection, self.layer = checkpoint.attention_output(layer), layer
        self.count, self.heads, self.by, self.values, self.donors = checkpoint.heads, heads, by, values, donors

    def __call__(self, pass_: Pass) -> AbstractContextManager[None]:
        """Replace the heads in one pass."""
        rows = torch.tensor(pass_.rows)
        return self._replacing(self.heads[rows], lambda outputs: self.replacement(outputs, rows, pass_.start))

    @property
    def recorded_as(self) -> tuple[Hashable, ...] | None:
        """What `replacing` does whatever tensors it is given; None where a row takes what another gives."""
        return None if self.by == "resample" else ("heads", self.layer, self.by)

    def given(self, rows: Tensor) -> list[Tensor]:
        """The tensors that `replacing` takes for these rows."""
        return [self.heads[rows]] if self.values is None else [self.heads[rows], self.values]

    def replacing(self, heads: Tensor, means: Tensor | None = None) -> AbstractContextManager[None]:
        """Replace these heads, one of each row, where nothing else is known of the rows."""
        return self._replacing(heads, lambda outputs: self._without_donors(outputs, heads, means))

    @contextmanager
    def _replacing(self, heads: Tensor, by: Callable[[Tensor], Tensor]) -> Iterator[None]:
        def replace(module: nn.Module, arguments: Any) -> tuple[Tensor]:
            (mixed,) = arguments
            outputs = mixed.unflatten(-1, (self.count, -1)).clone()
            batch = torch.arange(len(heads), device=outputs.device)
            outputs[batch, :, heads.to(outputs.device)] = by(outputs)
            return (outputs.flatten(-2),)

        with self.projection.register_forward_pre_hook(replace):
            yield

    def replacement(self, outputs: Tensor, rows: Tensor, start: int = 0) -> Tensor:
        """New output of the head of each of `rows`, (rows, positions, width), where all heads' are `outputs`.

        `outputs` (rows, positions, heads, width) begin at the position `start`.
        """
        if self.by != "resample":
            return self._without_donors(outputs, self.heads[rows], self.values)
        heads, batch = self.heads[rows].to(outputs.device), torch.arange(len(rows), device=outputs.device)
        assert self.values is not None and self.donors is not None
        donors = self.values[self.donors[rows].to(self.values.device), start : start + outputs.shape[1]]
        return donors.to(outputs.device, outputs.dtype).unflatten(-1, (self.count, -1))[batch, :, heads]

    def _without_donors(self, outputs: Tensor, heads: Tensor, means: Tensor | None) -> Tensor:
        heads, batch = heads.to(outputs.device), torch.arange(len(heads), device=outputs.device)
        replaced = outputs[batch, :, heads]
        if self.by == "zero":
            return torch.zeros_like(replaced)
        if self.by == "mean_of_others":
            return ((outputs.float().sum(dim=2) - replaced.float()) / (self.count - 1)).to(outputs.dtype)
        assert means is not None
        shared = means.to(outputs.device, outputs.dtype).unflatten(-1, (self.count, -1))
        return shared[heads][:, None].expand_as(replaced)
