"""The engine beside transformers' own generate: same rows, batch, dtype and threads, in turn, in one run.

    make bench, or with options (--rows, --rounds, --threads):
    PYTHONPATH=workflow:tests .venv/bin/python tests/bench/engine.py --rows 16

Random weights: a 135M Llama shape, and the largest Pythia of the mini study. Prints the median, least and greatest
rows per second of each, the ratio round by round, and every row whose tokens differ with its logit margin.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
import transformers

from peers import generate
from recite.architectures import Shape
from recite.engine import continue_greedily
from recite.training import build_model

CONTEXT = STEPS = 32


def llama_135m() -> transformers.PreTrainedModel:
    """30 layers, width 576, 9 heads, 3 key/value heads, feed-forward 1536, vocabulary 49,152."""
    config = transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(config)


def timed(call: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(name: str, model: transformers.PreTrainedModel, rows: int, rounds: int) -> None:
    """Print the comparison on one model."""
    model.eval()
    generator = torch.Generator().manual_seed(1)
    context = torch.randint(0, model.config.vocab_size, (rows, CONTEXT), generator=generator)
    ours = continue_greedily(model, context, STEPS, batch_rows=rows)
    theirs = generate(model, context, STEPS)
    times: dict[str, list[float]] = {"engine": [], "generate": []}
    for round_ in range(rounds):
        for peer in sorted(times, reverse=bool(round_ % 2)):
            call = (
                (lambda: continue_greedily(model, context, STEPS, rows))
                if peer == "engine"
                else (lambda: generate(model, context, STEPS))
            )
            times[peer].append(timed(call))
    print(f"\n{name}: {sum(p.numel() for p in model.parameters()):,} parameters, {rows} rows, {model.dtype}")
    for peer, seconds in times.items():
        speeds = sorted(rows / value for value in seconds)
        print(f"  {peer:9} {statistics.median(speeds):8.2f} rows/s  ({speeds[0]:.2f} to {speeds[-1]:.2f})")
    ratios = sorted(g / e for e, g in zip(times["engine"], times["generate"], strict=True))
    print(f"  engine / generate: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    differing = (ours.tokens != theirs).any(dim=1).nonzero().flatten().tolist()
    print(f"  rows that differ: {len(differing)}", *(f"{row} (margin {ours.margin[row]:.1e})" for row in differing))


def main() -> None:
    """Parse the command line and compare on both models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"{platform.machine()}, {options.threads} threads, {versions}")
    mini = build_model("pythia", Shape(layers=6, width=160, heads=10), 1024, 64, seed=0)
    compare("Pythia of the mini study", mini, 4 * options.rows, options.rounds)
    compare("Llama 135M", llama_135m(), options.rows, options.rounds)


if __name__ == "__main__":
    main()
