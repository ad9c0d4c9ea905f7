"""Keys and values written in place, where the cache of `transformers` copies all of them at every step."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class _StoredError(Exception):
    """Leaves a layer whose keys and values are stored and whose output is not wanted."""


class KeyValues:
    """Keys and values of `capacity` rows of `length` positions, as a cache of `transformers`.

    A pass works on a window of consecutive rows; within it only the rows of `written` are stored, the others fill the
    batch: a slice of all rows, or truth values of those of the window, (rows,). Buffers are made at first use, on the
    device and in the dtype of what a layer hands over.
    """

    def __init__(self, capacity: int, length: int) -> None:
        self.capacity, self.length = capacity, length
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.window = slice(0, capacity)
        self.written: slice | Tensor = slice(0, capacity)
        self.start = 0
        self.stores_alone = False

    @contextmanager
    def storing_alone(self) -> Iterator[None]:
        """A block for one layer, which is left as soon as that layer's keys and values are stored."""
        self.stores_alone = True
        try:
            yield
        except _StoredError:
            pass
        finally:
            self.stores_alone = False

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Store one layer's new keys and values and hand back all of the window, (rows, heads, positions, width)."""
        if layer not in self.layers:
            self.allocate(layer, key, value)
        end = self.start + key.shape[2]
        for buffer, new in zip(self.layers[layer], (key, value), strict=True):
            if isinstance(self.written, Tensor):
                kept = buffer[self.window, :, self.start : end]
                kept.copy_(torch.where(self.written[:, None, None, None], new, kept))
            else:
                start, stop = (place - self.window.start for place in (self.written.start, self.written.stop))
                buffer[self.written, :, self.start : end] = new[start:stop]
        if self.stores_alone:
            raise _StoredError
        keys, values = self.layers[layer]
        return keys[self.window, :, :end], values[self.window, :, :end]

    def allocate(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Make the buffers of one layer for keys and values like these, (rows, heads, positions, width)."""
        self.layers[layer] = (self._buffer(key), self._buffer(value))

    def _buffer(self, like: Tensor) -> Tensor:
        return like.new_zeros(self.capacity, like.shape[1], self.length, like.shape[3])

    def move(self, to: Tensor, source: Tensor) -> None:
        """Rearrange rows: row `to[k]` becomes what row `source[k]` was."""
        for buffers in self.layers.values():
            for buffer in buffers:
                buffer.index_copy_(0, to.to(buffer.device), buffer.index_select(0, source.to(buffer.device)))

    def get_seq_length(self, layer: int = 0) -> int:
        """Position of a pass's first token, from which `transformers` counts."""
        return self.start

    def get_query_offset(self, layer: int = 0) -> int:
        """The same, of the queries, for a class that makes a mask."""
        return self.start

    def get_mask_sizes(self, queries: int, layer: int = 0) -> tuple[int, int]:
        """Positions that a mask spans when `queries` are fed, and the first of them."""
        return self.start + queries, 0

    def get_max_cache_shape(self, layer: int = 0) -> int:
        """Positions that there is room for."""
        return self.length

    @property
    def is_compileable(self) -> bool:
        """Not by `torch.compile`."""
        return False
