"""Small passes recorded and replayed: a GPU is then told of a whole pass at once, and waits for no processor.

A recorded pass is a function of tensors of fixed shapes, whose places in memory are its own: what a call is given is
copied there, and what is made is copied from there. All else that it reads or writes (weights, keys and values) must
stay where it is. On a GPU the recording is a CUDA graph; on a CPU, where nothing is won, the function itself, for the
tests. No GPU has run this yet: every recording is therefore held against the function once, and where that fails, or a
pass cannot be recorded, all go on without.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

Function = Callable[..., tuple[Tensor, ...]]

PLAIN_CALLS = 2
"""Calls of a pass before it is recorded, which costs about as much as two: most passes of a short job come once."""
MOST = 256
"""Most recordings that are kept at once; a pass beyond is called plainly."""

_asked: ContextVar[bool | None] = ContextVar("asked", default=None)


@contextmanager
def recording(asked: bool) -> Iterator[None]:
    """Within the block small passes are recorded, or are not, whatever they run on."""
    before = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(before)


def recorded_on(devices: set[torch.device]) -> bool:
    """Whether passes of a model on these devices are recorded: on one GPU, unless `recording` says otherwise."""
    asked = _asked.get()
    return {device.type for device in devices} == {"cuda"} and len(devices) == 1 if asked is None else asked


class _Recording(NamedTuple):
    """A pass: where it reads its inputs and leaves its outputs, and what runs it."""

    inputs: list[Tensor]
    outputs: tuple[Tensor, ...]
    replay: Callable[[], object]

    def __call__(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        self.replay()
        return tuple(output.clone() for output in self.outputs)


class Graphs:
    """The recorded passes of one model by their keys; a key says all that is fixed in a pass but its tensors."""

    def __init__(self) -> None:
        self.known: dict[Hashable, _Recording] = {}
        self.calls: dict[Hashable, int] = {}
        self.pool: Any = None
        self.given_up = False

    def run(self, key: Hashable, function: Function, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What `function` makes of the inputs, by the recording of that key once there is one."""
        if key in self.known:
            return self.known[key](inputs)
        self.calls[key] = self.calls.get(key, 0) + 1
        if self.given_up or self.calls[key] <= PLAIN_CALLS or len(self.known) >= MOST:
            return function(*inputs)
        return self._record(key, function, inputs)

    def forget(self) -> None:
        """Let all recordings go: what they read or write is about to."""
        self.known.clear()
        self.calls.clear()

    def _record(self, key: Hashable, function: Function, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        plain = function(*inputs)
        reason = "a replayed pass gives other bits"
        try:
            made = (self._captured if inputs[0].is_cuda else called)(function, [tensor.clone() for tensor in inputs])
            replayed = made(inputs)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
        else:
            if all(torch.equal(one, other) for one, other in zip(replayed, plain, strict=True)):
                self.known[key] = made
                return replayed
        self.given_up = True
        self.known.clear()
        print(f"recite: passes are not recorded as graphs ({reason}); going on without, which is slower.", flush=True)
        return plain

    def _captured(self, function: Function, inputs: list[Tensor]) -> _Recording:
        """A CUDA graph, in the memory that all of these share as they never run at once."""
        device = inputs[0].device
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            function(*inputs)
        torch.cuda.current_stream(device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            outputs = function(*inputs)
        return _Recording(inputs, outputs, graph.replay)


def called(function: Function, inputs: list[Tensor]) -> _Recording:
    """The function itself, which leaves its outputs where a graph would."""
    outputs = tuple(output.clone() for output in function(*inputs))

    def replay() -> None:
        for own, made in zip(outputs, function(*inputs), strict=True):
            own.copy_(made)

    return _Recording(inputs, outputs, replay)
