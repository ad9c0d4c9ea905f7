"""Attention cut."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import Pass
from recite.engine.passes import check_attention
from recite.kernels.attention import Cut, cutting


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
