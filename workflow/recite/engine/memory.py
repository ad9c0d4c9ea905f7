"""Memory: what a batch is predicted to take, and what is done when it runs out."""

from collections.abc import Callable
from typing import TypeVar

import torch

from recite.checkpoints.architectures import feed_forward_of
from recite.checkpoints.loading import Checkpoint
from recite.engine.passes import CHUNK, pass_rows
from recite.errors import ReciteError
from recite.kernels.packing import weight_bytes

Result = TypeVar("Result")

KERNELS = 2**25
"""Bytes for compiled kernels and for what the allocator keeps of what was freed."""


def predicted_bytes(checkpoint: Checkpoint, batch_rows: int, prompt: int, steps: int, block_batches: int = 1) -> int:
    """Peak memory of `continue_greedily`, beside what the process takes before the checkpoint is loaded.

    The file that weights are mapped from while they are loaded is not counted: its pages are the page cache's.
    Within 15% in float32; on a CPU bfloat16 has taken up to 21% more.

    weights, with a second copy of an embedding that is tied to a packed unembedding
    + keys and values: 2 x layers x rows of a block x (prompt + steps - 1) x key/value heads x width of a head
    + the widest pass, of `pass_rows` rows of the prompt or of CHUNK tokens: four times the residual stream,
      and at a time either four times the feed-forward layer's width, or queries, output and twice the attention scores;
      or the logits of CHUNK tokens a row, on a CPU of one slice of the vocabulary
    + KERNELS, for compiled kernels and what the allocator keeps
    """
    config = checkpoint.model.config
    size = torch.empty(0, dtype=getattr(torch, checkpoint.dtype)).element_size()
    length, checked = prompt + steps - 1, min(CHUNK, steps)
    positions = len(checkpoint.layers) * block_batches * batch_rows * length
    caches = 2 * positions * checkpoint.shared_heads * checkpoint.head_width * size
    inner = feed_forward_of(config)
    logits = max(part.out_features for part in checkpoint.unembedding)
    passes = []
    for fed, keys in ((prompt, prompt), (checked, length)):
        rows = pass_rows(checkpoint, batch_rows, fed)
        mixing = checkpoint.heads * (3 * checkpoint.head_width + 2 * keys)
        passes.append(rows * fed * (4 * config.hidden_size + max(4 * inner, mixing)) * size)
        passes.append(rows * checked * logits * size)
    return weight_bytes(checkpoint.model) + caches + max(passes) + KERNELS


def halving(call: Callable[[int], Result], batch_rows: int) -> tuple[Result, int]:
    """`call(batch_rows)`, with half the rows whenever memory runs out; the result and the rows it was made with."""
    while True:
        try:
            return call(batch_rows), batch_rows
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if batch_rows == 1:
                raise ReciteError("not even one row fits into memory beside the weights; give the job more.") from None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        print(f"recite: {batch_rows} rows do not fit into memory; going on with {batch_rows // 2}.", flush=True)
        batch_rows //= 2


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory, of a GPU or of the machine, has run out."""
    words = ("out of memory", "can't allocate memory", "could not allocate", "could not create a memory object")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)
