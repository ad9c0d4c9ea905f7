"""Attention, MLP and neurons replaced."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from recite.checkpoints.loading import Checkpoint, Sublayer
from recite.engine.continuation import Pass
from recite.engine.residuals import output_changed


class SublayerReplacement:
    """The output of the attention or the MLP of one layer replaced, before any norm that stands behind it.

    In all rows, or in those that `chosen` (rows,) bool says.

    By zero, by its mean over a data set (`values`, (width,)), or by the same output for another row at the same place:
    `values` are then (rows, positions, width) outputs of which row i takes row `donors[i]`. Source: the layer and
    sublayer ablations of work on circuits (for one arXiv 2304.14767); what replaces them is our choice.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        layer: int,
        sublayer: Sublayer,
        by: Literal["zero", "dataset_mean", "resample"] = "zero",
        values: Tensor | None = None,
        donors: Tensor | None = None,
        chosen: Tensor | None = None,
    ) -> None:
        self.module = checkpoint.sublayer(layer, sublayer)
        self.by, self.values, self.donors, self.chosen = by, values, donors, chosen

    @contextmanager
    def __call__(self, pass_: Pass) -> Iterator[None]:
        """Replace the output in one pass."""

        def change(output: Tensor) -> Tensor:
            given = _by_row(output, pass_)
            found = self._replacement(given, pass_)
            if self.chosen is not None:
                chosen = self.chosen[torch.tensor(pass_.rows)].to(output.device)
                found = torch.where(chosen[:, None, None], found, given)
            return found.view_as(output)

        with output_changed(self.module, change):
            yield

    def _replacement(self, output: Tensor, pass_: Pass) -> Tensor:
        if self.by == "zero":
            return torch.zeros_like(output)
        assert self.values is not None
        if self.by == "dataset_mean":
            return self.values.to(output.device, output.dtype).expand_as(output).contiguous()
        assert self.donors is not None
        donors = self.donors[torch.tensor(pass_.rows)].to(self.values.device)
        fed = slice(pass_.start, pass_.start + output.shape[1])
        return self.values[donors, fed].to(output.device, output.dtype)


class NeuronReplacement:
    """Some neurons of the MLPs replaced: inputs of the MLP's output projection, behind activation and gate.

    chosen: layer -> (rows, neurons) bool, whose row i says which neurons of row i are replaced; (1, neurons) says it of
    all rows. By zero, or by `values`: layer -> (neurons,). Source: knowledge neurons, arXiv 2104.08696.
    """

    def __init__(
        self, checkpoint: Checkpoint, chosen: Mapping[int, Tensor], values: Mapping[int, Tensor] | None = None
    ) -> None:
        self.modules = {layer: checkpoint.sublayer(layer, "mlp") for layer in chosen}
        self.chosen, self.values = chosen, values

    @contextmanager
    def __call__(self, pass_: Pass) -> Iterator[None]:
        """Replace the neurons in one pass."""
        rows = torch.tensor(pass_.rows)

        def replace(layer: int, neurons: Tensor) -> Tensor:
            chosen = self.chosen[layer]
            chosen = chosen if len(chosen) == 1 else chosen[rows.to(chosen.device)]
            value = self.values[layer] if self.values else torch.zeros(1)
            value, chosen = value.to(neurons.device, neurons.dtype), chosen.to(neurons.device)[:, None]
            return torch.where(chosen, value, neurons)

        with _neurons_changed(self.modules, replace, pass_):
            yield


class NeuronScaling:
    """Neurons of the MLPs on the straight way from `values` to their activations: value + scale x (activation - value).

    scales: layer -> (rows, neurons) float32, of the rows of a pass, whatever they are; what has a gradient may be asked
    for one. values: layer -> (neurons,). Source: the path of integrated gradients, arXiv 1703.01365.
    """

    def __init__(self, checkpoint: Checkpoint, scales: Mapping[int, Tensor], values: Mapping[int, Tensor]) -> None:
        self.modules = {layer: checkpoint.sublayer(layer, "mlp") for layer in scales}
        self.scales, self.values = scales, values

    @contextmanager
    def __call__(self, pass_: Pass) -> Iterator[None]:
        """Scale the neurons in one pass."""

        def scale(layer: int, neurons: Tensor) -> Tensor:
            value = self.values[layer].to(neurons.device)
            scales = self.scales[layer].to(neurons.device)[:, None]
            return (value + scales * (neurons.float() - value)).to(neurons.dtype)

        with _neurons_changed(self.modules, scale, pass_):
            yield


def _by_row(states: Tensor, pass_: Pass) -> Tensor:
    """(rows, positions, width), also of a class that lays them out as (rows x positions, width)."""
    return states.view(len(pass_.rows), -1, states.shape[-1])


@contextmanager
def _neurons_changed(
    modules: Mapping[int, nn.Module], change: Callable[[int, Tensor], Tensor], pass_: Pass
) -> Iterator[None]:
    """Within the block each layer's module is given `change` of its number and its input, (rows, positions, width)."""

    def changed(layer: int, given: Any) -> tuple[Any, ...]:
        return change(layer, _by_row(given[0], pass_)).view_as(given[0]), *given[1:]

    with ExitStack() as stack:
        for layer, module in modules.items():
            hook = module.register_forward_pre_hook(lambda _, given, layer=layer: changed(layer, given))
            stack.enter_context(hook)
        yield
