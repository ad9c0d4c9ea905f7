"""Restarts: what layers below an intervention make of a row's tokens is computed once for all that see the same.

Layers below the one that is changed see tokens alone. Along a traced run their outputs are there already. A row that
leaves it branches off: each token is then a node, known by the row, the place of the branch and the tokens from there
on. The lower layers are run over a node once, however many heads, of this layer or of lower ones, come to it.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recite.checkpoints.loading import Checkpoint
from recite.engine.passes import fitting_rows, forwarding, largest_rows, replaced
from recite.kernels.key_values import KeyValues

PASS_BATCHES = 4
"""Batches whose rows one pass takes at most on a CPU, see `recite.engine.passes.largest_rows`; one on a GPU."""
Key = tuple[int, int, tuple[int, ...]]
"""A node: row of the trace, position of the first token that is not the traced one, tokens from there on."""


class Branches:
    """The tree of tokens that follow a traced run up to some place and then leave it.

    Nodes are kept for one layer and those below. A lower layer makes use of them all; a higher one needs more than
    they hold and begins anew, so that layers are best asked for from the last to the first. No more are kept than
    `most`, or than a block's sequences may have; where there is no more room, all but what these need is forgotten.

    Memory of a node: layers up to that one x (width + 2 x key/value heads x width of a head) numbers.
    """

    def __init__(self, checkpoint: Checkpoint, keys_values: dict[int, tuple[Tensor, Tensor]], batch_rows: int) -> None:
        self.checkpoint, self.clean, self.batch_rows = checkpoint, keys_values, batch_rows
        self.layer, self.most = 0, 0
        self.paths: dict[Key, tuple[int, ...]] = {}
        self.inputs: dict[int, Tensor] = {}
        self.keys_values: dict[int, tuple[Tensor, Tensor]] = {}
        most = PASS_BATCHES * batch_rows if checkpoint.model.device.type == "cpu" else batch_rows
        self.most_rows = largest_rows(checkpoint, batch_rows, 1, most)
        self.cache = KeyValues(self.most_rows, 0)

    def prepare(self, layer: int, nodes: int) -> None:
        """Make ready for sequences at `layer` that have up to `nodes` nodes in all."""
        if layer > self.layer:
            self._forget()
        for above in [known for known in self.inputs if known > layer]:
            del self.inputs[above]
            self.keys_values.pop(above - 1)
            self.cache.layers.pop(above - 1)
        self.layer, self.most = layer, max(self.most, nodes)

    @torch.inference_mode()
    def follow(self, rows: Sequence[int], places: Sequence[int], tokens: Tensor) -> Tensor:
        """Input of the layer at the last position of each of some sequences, (sequences, 1, width).

        Sequence i is `tokens[i]`, which equals that of row `rows[i]` of the trace before position `places[i]` and
        not there. All that it holds but the last token has been followed before, and is again if it was forgotten.
        """
        length = tokens.shape[1]
        sequences = zip(rows, places, tokens.tolist(), strict=True)
        keys = [(row, place, tuple(sequence[place:])) for row, place, sequence in sequences]
        if len(self.paths) + len(self._unknown(keys)) > self.most:
            self._forget()
            for end in range(min(places) + 1, length):
                self._run([(row, place, line[: end - place]) for row, place, line in keys if place < end], end - 1)
        self._run(keys, length - 1)
        nodes = torch.tensor([self.paths[key][-1] for key in keys])
        inputs = self.inputs[self.layer]
        return inputs[nodes.to(inputs.device)][:, None]

    def _forget(self) -> None:
        self.paths.clear()
        self.inputs.clear()
        self.keys_values.clear()
        self.cache.layers.clear()

    def _unknown(self, keys: Sequence[Key]) -> list[Key]:
        return [key for key in dict.fromkeys(keys) if key not in self.paths]

    def _run(self, keys: Sequence[Key], position: int) -> None:
        """Run the layers below over the last tokens of the keys, which are at `position`, where that is still to do."""
        new = self._unknown(keys)
        if not new:
            return
        rows = fitting_rows(self.checkpoint, self.batch_rows, 1, 1, len(new), self.most_rows)
        for low in range(0, len(new), rows):
            self._grow(new[low : low + rows], position, rows)

    def _grow(self, keys: Sequence[Key], position: int, rows: int) -> None:
        """Run the layers below over one more token of each key, at `position`; the last fills a pass of `rows` rows."""
        count = len(self.paths)
        nodes = range(count, count + len(keys))
        for node, (row, place, tokens) in zip(nodes, keys, strict=True):
            self.paths[row, place, tokens] = (*self.paths.get((row, place, tokens[:-1]), ()), node)
        filled = [*keys, *[keys[-1]] * (rows - len(keys))]
        self.cache.window = self.cache.written = slice(0, rows)
        self._fill(keys, position)
        fed = torch.tensor([[tokens[-1]] for _, _, tokens in filled], device=self.checkpoint.model.device)
        seen: dict[int, Tensor] = {}
        with ExitStack() as stack:
            for layer in range(self.layer + 1):
                stack.enter_context(_kept(self.checkpoint.layers[layer], seen, layer))
            stack.enter_context(replaced(self.checkpoint.layers[self.layer :], None))
            self.checkpoint.body(input_ids=fed, past_key_values=self.cache, use_cache=True)
        for layer, hidden in seen.items():
            self.inputs[layer] = _extended(self.inputs.get(layer), hidden[: len(keys), 0], count, self.most)
        for layer, new in self.cache.layers.items():
            kept = self.keys_values.get(layer, (None, None))
            one, other = (
                _extended(buffer, part[: len(keys), :, position], count, self.most)
                for buffer, part in zip(kept, new, strict=True)
            )
            self.keys_values[layer] = one, other

    def _fill(self, keys: Sequence[Key], position: int) -> None:
        """Keys and values of the layers below before `position`: the traced ones, then those of the nodes.

        What the rows that fill the batch look at does not matter.
        """
        clean = torch.tensor([row for row, _, _ in keys])
        passed = [
            (index, place + step, node)
            for index, (row, place, tokens) in enumerate(keys)
            for step, node in enumerate(self.paths[row, place, tokens][:-1])
        ]
        index, positions, nodes = torch.tensor(passed, dtype=torch.int64).reshape(-1, 3).T
        self.cache.start = position
        for layer in range(self.layer):
            traced = self.clean[layer]
            if layer not in self.cache.layers:
                one, other = (part.new_zeros(self.most_rows, *part.shape[1:]) for part in traced)
                self.cache.layers[layer] = (one, other)
            for side, part in enumerate(self.cache.layers[layer]):
                device = part.device
                torch.index_select(traced[side], 0, clean.to(device), out=part[: len(keys)])
                if passed:
                    branched = self.keys_values[layer][side][nodes.to(device)]
                    part[index.to(device), :, positions.to(device)] = branched


class Trace(NamedTuple):
    """What a clean run over given tokens leaves behind, so that a changed run can restart at any layer.

    residuals: layer -> its input, (rows, positions, width). heads: layer -> the input of its attention output
    projection, (rows, positions, heads x width of a head). keys_values: layer -> keys and values, (rows, key/value
    heads, positions, width of a head). Rows beyond those traced fill the last batch. branches: what is
    found later about rows that leave the given tokens.
    """

    residuals: dict[int, Tensor]
    heads: dict[int, Tensor]
    keys_values: dict[int, tuple[Tensor, Tensor]]
    branches: Branches


class Restart(NamedTuple):
    """Where rows take up a clean run: at the attention output projection of `layer`; row i is row `rows[i]` of it.

    What comes before is not run again where the trace holds it.
    """

    trace: Trace
    layer: int
    rows: Tensor

    @contextmanager
    def along_the_trace(self, checkpoint: Checkpoint, rows: Tensor, fed: int, cache: KeyValues) -> Iterator[None]:
        """Within the block a pass of `rows` starts there; all tokens, in the cache and the `fed` ones, are traced."""
        traced, projection = self.rows[rows], checkpoint.attention_output(self.layer)

        def of(tensor: Tensor, fed: int) -> Tensor:
            return tensor.narrow(-2, cache.start, fed).index_select(0, traced.to(tensor.device))

        def attention(*given: Tensor, **named: Any) -> tuple[Tensor, None]:
            (hidden,) = given or (named["hidden_states"],)
            keys, values = (of(part, hidden.shape[1]) for part in self.trace.keys_values[self.layer])
            cache.update(keys, values, self.layer)
            return projection(of(self.trace.heads[self.layer], hidden.shape[1])), None

        def heads(module: nn.Module, arguments: Any) -> tuple[Tensor]:
            return (of(self.trace.heads[self.layer], fed),)

        with replaced(checkpoint.layers[: self.layer], of(self.trace.residuals[self.layer], fed)):
            if checkpoint.architecture.known:
                with forwarding([checkpoint.attention(self.layer)], attention):
                    yield
            else:  # what such a class hands back is not known: its attention is run, and its heads are the traced ones
                with projection.register_forward_pre_hook(heads, prepend=True):
                    yield


@contextmanager
def _kept(module: nn.Module, seen: dict[int, Tensor], layer: int) -> Iterator[None]:
    """Within the block what the module is given goes into `seen`."""

    def see(module: nn.Module, arguments: Any) -> None:
        seen[layer] = arguments[0]

    with module.register_forward_pre_hook(see):
        yield


def _extended(buffer: Tensor | None, new: Tensor, start: int, most: int) -> Tensor:
    """`buffer` with `new` from row `start` on, with twice the room, but no more than `most`, where it is full."""
    end = start + len(new)
    if buffer is None or end > len(buffer):
        grown = new.new_empty(min(2 * end, most), *new.shape[1:])
        if buffer is not None:
            grown[:start] = buffer[:start]
        buffer = grown
    buffer[start:end] = new
    return buffer
