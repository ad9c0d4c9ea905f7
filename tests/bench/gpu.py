"""What share of a GPU's peak each stage reaches, for the model of a shape with random weights.

`make bench-gpu`, on a machine with a GPU. The peak is that of a large matrix product, measured first. Operations are
those that the stages declare, which the plan of a study counts with, so that the shares are the plan's
`--efficiency`. The batch of scoring is chosen as in a study; the peak of memory stands beside the prediction. Scoring
in small batches and head ablation are run with plain passes and with passes recorded as CUDA graphs.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers

from bench.shapes import CONTEXT, SHAPES, STEPS, save_random
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.decoding import decode
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.memory import predicted_bytes
from recite.files import write_json
from recite.kernels.graphs import recording
from recite.planning import costs
from recite.planning.costs import Facts
from recite.stages.batching.measure import SPARE, choose, measure
from recite.stages.heads.cost import ablation_flops
from recite.stages.heads.measure.ablation import effects
from recite.stages.lens.layers import decoded_layers
from recite.stages.lens.stage import decoding_flops
from recite.stages.recovery.measure import compared
from recite.stages.recovery.stage import recovery_flops

SIDE = 8192
TURNS = 3
SMALL, BATCHES = (64, 256), 16
"""Rows of a batch, and batches, of a scoring that waits for the processor; recording takes some of the first."""


def main() -> None:
    """Measure, print and write to a JSON file."""
    parser = argparse.ArgumentParser("bench.gpu", description=__doc__)
    parser.add_argument("--model", default="GPT-NeoX 6.9B", choices=list(SHAPES))
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--ablation-rows", type=int, nargs="+", default=[64, 128, 256], help="batch sizes of ablation")
    parser.add_argument("--output", type=Path, default=Path("results/bench-gpu.json"))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no GPU here.")
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        save_random(options.model, options.dtype, Path(folder))
        checkpoint = load_checkpoint(folder, options.dtype, 8)
    print(f"{options.model}, {options.dtype}, on {checkpoint.device}", flush=True)
    peak = product_rate(checkpoint.model.dtype)
    print(f"products of {SIDE} x {SIDE}: {peak / 1e12:.0f} TFLOP/s", flush=True)
    found = stages(checkpoint, facts_of(checkpoint), peak, options.ablation_rows)
    about = {"device": checkpoint.device, "model": options.model, "dtype": options.dtype, "peak": peak}
    write_json(options.output, about | found)


def facts_of(checkpoint: Checkpoint) -> Facts:
    """What the plan of a study would know of the model."""
    config = checkpoint.model.config
    shape = (len(checkpoint.layers), config.hidden_size, checkpoint.heads, checkpoint.shared_heads)
    return Facts(*shape, config.intermediate_size, config.vocab_size, checkpoint.parameters)


def product_rate(dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product."""
    one, other = (torch.randn(SIDE, SIDE, device="cuda").to(dtype) for _ in range(2))
    return 2 * SIDE**3 / timed(lambda: one @ other, 10)


def timed(call: Callable[[], object], turns: int = TURNS) -> float:
    """Median seconds of a call, after one that is not timed."""
    call()
    seconds = []
    for _ in range(turns):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def stages(checkpoint: Checkpoint, facts: Facts, peak: float, ablation_rows: list[int]) -> dict[str, Any]:
    """Rows a second and share of the peak of every stage that runs a model."""
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_allocated()
    by_size = measure(checkpoint, int(free * SPARE), CONTEXT, STEPS)
    rows = choose(by_size)
    row = costs.row_flops(facts, CONTEXT, STEPS)
    sizes = {str(size): shown(f"scoring, {size} rows", speed, row, peak) for size, speed in by_size.items()}
    found: dict[str, Any] = {"scoring": sizes, "batch_rows": rows}
    text = torch.randint(0, facts.vocabulary, (rows, CONTEXT + STEPS), generator=torch.Generator().manual_seed(1))
    context = text[:, :CONTEXT]
    torch.cuda.reset_peak_memory_stats()
    continue_greedily(checkpoint, context, STEPS, rows)
    taken, predicted = torch.cuda.max_memory_allocated(), predicted_bytes(checkpoint, rows, CONTEXT, STEPS)
    print(f"memory: {taken / 1e9:.2f} GB, {taken / predicted:.2f} of the prediction", flush=True)
    found["memory"] = {"taken": taken, "predicted": predicted}

    def stage(name: str, size: int, operations: int, call: Callable[[], object]) -> None:
        found[name] = shown(name, size / timed(call), operations, peak)

    middle = facts.layers // 2
    noise = ResidualNoise(checkpoint, middle, list(range(rows)), 0.3, 1, "token", "prompt")
    stage("noise", rows, row, lambda: continue_greedily(checkpoint, context, STEPS, rows, intervention=noise))
    few = text[:512]
    recovery = recovery_flops(facts, CONTEXT)
    stage("recovery", len(few), recovery, lambda: compared(checkpoint, few[:, :CONTEXT], noise, middle, 64))
    for stride in (1, 2):
        decoded = decoded_layers(facts.layers, stride)
        lens = decoding_flops(facts, CONTEXT, STEPS, len(decoded))
        call = partial(decode, checkpoint, few, STEPS, 64, layers=decoded)
        stage(f"lens, stride {stride}", len(few), lens, lambda call=call: list(call()))  # type: ignore[misc]
    return found | small_passes(checkpoint, facts, text, peak, ablation_rows)


def small_passes(
    checkpoint: Checkpoint, facts: Facts, text: torch.Tensor, peak: float, ablation_rows: list[int]
) -> dict[str, Any]:
    """Scoring in small batches, and ablation of a middle layer's heads, by plain and by recorded passes."""
    context, middle, found = text[:, :CONTEXT], facts.layers // 2, {}
    layers = range(middle, middle + 1)
    row, heads = costs.row_flops(facts, CONTEXT, STEPS), ablation_flops(facts, CONTEXT, STEPS, layers)
    for asked, how in ((False, "plain"), (True, "recorded")):
        with recording(asked):
            for size in SMALL:
                many = torch.cat([context] * -(-BATCHES * size // len(text)))[: BATCHES * size]
                name = f"scoring, {size} rows, {how}"
                speed = len(many) / timed(partial(continue_greedily, checkpoint, many, STEPS, size))
                found[name] = shown(name, speed, row, peak)
            for size in ablation_rows:
                tokens = continue_greedily(checkpoint, context[: 2 * size], STEPS, size).tokens
                ablated = torch.cat([context[: 2 * size], tokens], dim=1)
                name = f"ablation, {size} rows, {how}"
                speed = len(ablated) / timed(partial(effects, checkpoint, ablated, STEPS, size, layers), 1)
                found[name] = shown(name, speed, heads, peak)
    return found


def shown(name: str, speed: float, operations: int, peak: float) -> dict[str, float]:
    """Print rows a second and their share of the peak."""
    share = speed * operations / peak
    print(f"{name:30}{speed:12.1f} rows/s{share:8.1%} of the peak", flush=True)
    return {"rows_per_second": speed, "share_of_peak": share}


if __name__ == "__main__":
    main()
