"""How many rows a pass has: what memory they need, which number is fastest, and what to do when memory runs out."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from recite.checkpoints import Checkpoint, load_checkpoint
from recite.engine import CHUNK, continue_greedily
from recite.errors import ReciteError
from recite.files import write_json
from recite.kernels import weight_bytes

Result = TypeVar("Result")

LEAST_GAIN = 1.05
"""A batch that is twice as large must be this much faster to be worth its memory."""
SMALLEST, LARGEST = 8, 4096
SPARE = 0.9
"""Share of the memory limit that the prediction may take."""


def predicted_bytes(checkpoint: Checkpoint, batch_rows: int, prompt: int, steps: int, block_batches: int = 1) -> int:
    """Peak memory of `continue_greedily`, beside what the process takes before the checkpoint is loaded.

    weights, with a second copy of an embedding that is tied to a packed unembedding
    + keys and values: 2 x layers x rows of a block x (prompt + steps - 1) x key/value heads x width of a head
    + the widest pass, of batch x (prompt + CHUNK - 1) tokens: the residual stream and its norm, and at a time
      either three feed-forward layers' widths, or queries, output and twice the attention scores,
      or the logits of CHUNK tokens a row, in the model's dtype and in float32
    """
    config = checkpoint.model.config
    size = torch.empty(0, dtype=getattr(torch, checkpoint.dtype)).element_size()
    length = prompt + steps - 1
    fed = min(prompt + CHUNK - 1, length)
    caches = (
        2
        * len(checkpoint.layers)
        * block_batches
        * batch_rows
        * length
        * checkpoint.shared_heads
        * checkpoint.head_width
    )
    tokens = batch_rows * fed
    width = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * width
    mixing = 3 * checkpoint.heads * checkpoint.head_width + 2 * checkpoint.heads * fed
    logits = batch_rows * min(CHUNK, steps) * config.vocab_size * (0 if size == 4 else 4)
    hidden = tokens * (2 * width + max(3 * inner, mixing)) * size
    unembedded = batch_rows * min(CHUNK, steps) * config.vocab_size * size + logits
    return weight_bytes(checkpoint.model) + caches * size + max(hidden, unembedded)


def search(options: Mapping[str, Any], checkpoint: Path, memory: int, result: Path, threads: int) -> None:
    """Measure how many rows a second batches of doubling size give; write the size to use and what was seen.

    `options` name model, dtype, tokens of the context and of the continuation. `memory` is the limit in bytes where the
    model is on the CPU; on a GPU it is what the GPU has free.
    """
    torch.set_num_threads(threads)
    loaded = load_checkpoint(checkpoint, options["dtype"], SMALLEST)
    if loaded.device != "cpu":
        memory = min(torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count()))
        memory += weight_bytes(loaded.model)
    measured = measure(loaded, int(memory * SPARE), options["context_tokens"], options["continuation_tokens"])
    write_json(
        result,
        {
            "model": options["model"],
            "batch_rows": choose(measured),
            "device": loaded.device,
            "dtype": loaded.dtype,
            "memory_limit_bytes": memory,
            "rows_per_second": measured,
        },
    )


def measure(checkpoint: Checkpoint, memory: int, prompt: int, steps: int) -> dict[int, float]:
    """Rows per second by batch size, doubling until memory ends or a size is no faster than its half.

    Raises ReciteError if not even the smallest fits.
    """
    measured: dict[int, float] = {}
    rows = SMALLEST
    while rows <= LARGEST and predicted_bytes(checkpoint, rows, prompt, steps) <= memory:
        context = torch.randint(
            0, checkpoint.model.config.vocab_size, (rows, prompt), generator=torch.Generator().manual_seed(0)
        )
        try:
            seconds = min(_seconds(checkpoint, context, steps) for _ in range(3))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            break
        measured[rows] = rows / seconds
        print(f"batches of {rows}: {measured[rows]:.1f} rows/s", flush=True)
        if measured[rows] < LEAST_GAIN * measured.get(rows // 2, 0):
            break
        rows *= 2
    if not measured:
        needed = predicted_bytes(checkpoint, SMALLEST, prompt, steps)
        raise ReciteError(
            f"a batch of {SMALLEST} rows takes {needed / 2**30:.1f} GiB with the weights, the limit is "
            f"{memory / 2**30:.1f} GiB; give the job more memory."
        )
    return measured


def choose(measured: Mapping[int, float]) -> int:
    """The smallest batch that is nearly as fast as the fastest."""
    return min(rows for rows, speed in measured.items() if speed * LEAST_GAIN >= max(measured.values()))


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


def _seconds(checkpoint: Checkpoint, context: Tensor, steps: int) -> float:
    start = time.perf_counter()
    continue_greedily(checkpoint, context, steps, len(context))
    return time.perf_counter() - start
