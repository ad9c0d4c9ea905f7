"""What modules are given and hand on, seen or changed within a block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def given(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within the block the module is given what `change` makes of its input."""
    with module.register_forward_pre_hook(lambda _, arguments: (change(arguments[0]), *arguments[1:])):
        yield


@contextmanager
def input_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Within the block what the module is given goes into the list."""
    seen: list[Tensor] = []
    with module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0])):
        yield seen


@contextmanager
def output_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Within the block what the module hands on, the first of several, goes into the list."""
    seen: list[Tensor] = []

    def see(module: nn.Module, arguments: Any, output: Any) -> None:
        seen.append((output[0] if isinstance(output, tuple) else output).clone())  # some classes add to it in place

    with module.register_forward_hook(see):
        yield seen
