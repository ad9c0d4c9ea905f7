"""Interventions: what a forward pass is changed by; each is in force for one pass and always taken back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from recite.checkpoints.loading import Checkpoint, Sublayer
from recite.engine.continuation import Intervention, Pass
from recite.engine.gaussian import row_noise
from recite.engine.passes import check_attention
from recite.engine.residuals import output_changed
from recite.errors import ReciteError
from recite.kernels.attention import Cut, cutting


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
        row_ids: Sequence[int],
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


def together(interventions: Sequence[Intervention]) -> Intervention:
    """All of them in one pass."""

    @contextmanager
    def intervene(pass_: Pass) -> Iterator[None]:
        with ExitStack() as stack:
            for intervention in interventions:
                stack.enter_context(intervention(pass_))
            yield

    return intervene


def _by_row(states: Tensor, pass_: Pass) -> Tensor:
    """(rows, positions, width), also of a class that lays them out as (rows x positions, width)."""
    return states.view(len(pass_.rows), -1, states.shape[-1])


class Knockout:
    """Attention cut, in all layers and heads, from the positions that predict row i's continuation to those `keys[i]`.

    Positions are counted from a row's first token, BOS included; the first that predicts is the context's last, and
    each still attends to itself. What is left has the weights of a softmax over it. Source: attention knockout,
    Geva et al. 2023 (arXiv 2304.14767). Raises ReciteError for a class that computes attention itself.
    """

    def __init__(self, checkpoint: Checkpoint, keys: Sequence[range]) -> None:
        check_attention(checkpoint)
        self.keys = keys

    @contextmanager
    def __call__(self, pass_: Pass) -> Iterator[None]:
        """Cut in one pass."""
        keys = [self.keys[row] for row in pass_.rows]
        with cutting(Cut(pass_.prompt - 1, tuple(one.start for one in keys), tuple(one.stop for one in keys))):
            yield


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
