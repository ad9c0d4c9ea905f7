"""How many rows a batch has: measured once for each model, under a memory limit."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.finite import naming
from recite.engine.memory import is_out_of_memory, predicted_bytes
from recite.errors import ReciteError
from recite.files import write_json
from recite.kernels.packing import weight_bytes

LEAST_GAIN = 1.05
"""A batch that is twice as large must be this much faster to be worth its memory."""
SMALLEST, LARGEST = 8, 4096
SPARE = 0.9
"""Share of the memory limit that the prediction may take."""


def search(options: Mapping[str, Any], checkpoint: Path, memory: int, batch: Path, threads: int) -> None:
    """Measure how many rows a second batches of doubling size give; write the size to use and what was seen.

    `options` name model, dtype, tokens of the context and of the continuation. `memory` is the limit in bytes where the
    model is on the CPU; on a GPU it is what the GPU has free.
    """
    torch.set_num_threads(threads)
    loaded = load_checkpoint(checkpoint, options["dtype"], SMALLEST)
    if loaded.device != "cpu":
        memory = min(torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count()))
        memory += weight_bytes(loaded.model)
    with naming(options["model"], range(LARGEST)):
        measured = measure(loaded, int(memory * SPARE), options["context_tokens"], options["continuation_tokens"])
    write_json(
        batch,
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


def _seconds(checkpoint: Checkpoint, context: Tensor, steps: int) -> float:
    start = time.perf_counter()
    continue_greedily(checkpoint, context, steps, len(context))
    return time.perf_counter() - start
