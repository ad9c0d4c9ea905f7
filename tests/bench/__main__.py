"""The engine beside its peers: same rows, batch, dtype and threads, each in a process of its own, one at a time.

    make bench, or with options (see --help):
    PYTHONPATH=workflow:tests .venv/bin/python -m bench --quick

The peers are `generate` of transformers, vLLM's CPU build (where --vllm names its Python), and the products of the
linear layers with nothing else, by torch's `linear` and, on a CPU, with the engine's packed weights. All run on the GPU
if there is one. Weights of published shapes and contexts are random; head ablation and compressibility are those of the
first shape in the first dtype, layer decoding, beside the engine's scoring, those of the first shape. Peers take turns,
in reversed order every other round. Figures are a median (least to greatest), ratios are taken within a round. Tokens
are held against those of `generate` in the same dtype; a row that differs is listed with the engine's margin, the
smallest lead of its best token's logit over the second best. Compressibility and batch sizes, the longest comparisons,
take a fifth of the rounds.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from bench.machine import machine
from bench.shapes import CONTEXT, DEVICE, SHAPES, STEPS, save_random
from bench.worker import Answer, Worker
from recite.files import write_json

SETTLE = 0.3
"""Seconds before each call, in which the threads of the last peer fall asleep."""
QUICK = {"rows": 8, "rounds": 2, "heads": "1", "dtypes": ["float32"], "skip": ["batches"]}
ENGINE, DRAFTED, GENERATE, VLLM = "engine", "engine, right draft", "generate", "vllm"
PRODUCTS = ["linear", "linear, packed"]
STRIDES = (1, 2, 3)
"""One in how many layers is decoded."""
VLLM_ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parents[1]),
    "VLLM_CPU_KVCACHE_SPACE": "4",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}

Calls = Mapping[str, Callable[[], Answer]]
Tokens = list[list[int]]


class Bench:
    """The comparisons, on models that are saved in `folder`."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.versions: dict[str, Answer] = {}
        for name in options.models:
            print(f"{name}: {save_random(name, options.dtypes[0], folder / name):,} parameters")

    @contextmanager
    def workers(self, model: str, dtype: str, peers: Mapping[str, tuple[str, int]]) -> Iterator[dict[str, Worker]]:
        """A worker by each name, for the peer and the rows a batch that `peers` gives it."""
        started: dict[str, Worker] = {}
        shared = {"OMP_NUM_THREADS": str(self.options.threads), "HF_HUB_OFFLINE": "1", "CLOCK": self.options.clock}
        try:
            for name, (peer, rows) in peers.items():
                arguments = [str(self.folder / model), dtype, str(rows), str(STEPS)]
                command = [sys.executable, "-m", "bench.torch_peers", peer, *arguments]
                if peer == VLLM:
                    command = [self.options.vllm, "-m", "bench.vllm_peer", *arguments]
                environment = shared | (VLLM_ENVIRONMENT if peer == VLLM else {})
                started[name] = Worker(command, environment, self.folder / f"{name}.log")
            for name, worker in started.items():
                self.versions[peers[name][0]] = worker.answer()
            yield started
        finally:
            for worker in started.values():
                worker.close()

    def run(self) -> Answer:
        """All comparisons."""
        options = self.options
        few = max(1, options.rounds // 5)
        results: Answer = {"scoring": {}, "layers": {}, "batches": {}}
        peers = [ENGINE, GENERATE, *(PRODUCTS if DEVICE == "cpu" else PRODUCTS[:1])]
        peers += [VLLM] if options.vllm else []
        first = options.models[0], options.dtypes[0]
        for model in options.models:
            context = contexts(model, options.rows)
            for dtype in options.dtypes:
                with self.workers(model, dtype, {peer: (peer, options.rows) for peer in peers}) as workers:
                    print(f"\nScoring, {model}, {dtype}, {options.rows} rows a batch")
                    results["scoring"][f"{model}, {dtype}"], clean = scoring(workers, context, options.rounds)
                    if model == first[0] and "layers" not in options.skip:
                        print(f"\nLayer decoding beside scoring, {model}, {dtype}")
                        results["layers"][dtype] = layer_decoding(workers[ENGINE], context, clean, options.rounds)
                    if (model, dtype) != first:
                        continue
                    if "ablation" not in options.skip:
                        print(f"\nHead ablation, {model}, {dtype}")
                        results["ablation"] = ablation(workers, SHAPES[model], context, clean, options.heads)
                    if "compressibility" not in options.skip:
                        print(f"\nCompressibility, {model}, {dtype}")
                        results["compressibility"] = compressibility(workers, context, clean, few)
        for dtype in [] if "batches" in options.skip else options.dtypes:
            print(f"\nBatch sizes, {first[0]}, {dtype}, {4 * options.rows} rows")
            results["batches"][dtype] = self.batches(dtype, few)
        return results

    def batches(self, dtype: str, rounds: int) -> Answer:
        """The engine with half, once, twice and four times the rows a batch, on the same rows."""
        usual, model = self.options.rows, self.options.models[0]
        context = contexts(model, 4 * usual)
        sizes = {f"{rows} a batch": (ENGINE, rows) for rows in (usual, usual // 2, 2 * usual, 4 * usual)}
        with self.workers(model, dtype, sizes) as workers:
            calls = {name: partial(worker.ask, "score", context=context) for name, worker in workers.items()}
            answers, seconds = take_turns(calls, range(rounds))
        base = f"{usual} a batch"
        return compared(seconds, dict.fromkeys(calls, len(context)), base) | tokens_compared(answers, base, base)


def contexts(model: str, rows: int) -> Tokens:
    """Random contexts, the same at every call."""
    generator = torch.Generator().manual_seed(1)
    drawn: Tokens = torch.randint(0, SHAPES[model]["vocab_size"], (rows, CONTEXT), generator=generator).tolist()
    return drawn


def scoring(workers: Mapping[str, Worker], context: Tokens, rounds: int) -> tuple[Answer, Tokens]:
    """Every peer, and the engine with a right draft; the engine's tokens too. A first turn is not timed."""
    calls = {name: partial(worker.ask, "score", context=context) for name, worker in workers.items()}
    first, _ = take_turns(calls, range(1))
    clean = first[ENGINE]["tokens"]
    calls[DRAFTED] = partial(workers[ENGINE].ask, "score", context=context, draft=clean)
    first[DRAFTED] = calls[DRAFTED]()
    _, seconds = take_turns(calls, range(rounds))
    result = compared(seconds, dict.fromkeys(calls, len(context)))
    rate = first[PRODUCTS[0]]["operations"] / statistics.median(seconds[ENGINE]) / 1e12
    print(f"  engine: {rate:.3g} TFLOP/s in the products of linear layers")
    result["tflops"] = rate
    return result | tokens_compared(first, GENERATE, ENGINE), clean


def layer_decoding(engine: Worker, context: Tokens, clean: Tokens, rounds: int) -> Answer:
    """Decoding of layers over the engine's scoring of the same rows: how many times as long it takes, by stride."""
    calls = {ENGINE: partial(engine.ask, "score", context=context)}
    calls |= {
        f"layers, stride {stride}": partial(engine.ask, "decode", context=context, clean=clean, stride=stride)
        for stride in STRIDES
    }
    _, seconds = take_turns(calls, range(rounds))
    return compared(seconds, dict.fromkeys(calls, len(context)))


def ablation(
    workers: Mapping[str, Worker], shape: Mapping[str, Any], context: Tokens, clean: Tokens, heads: str
) -> Answer:
    """Each head replaced by the mean of the others, a layer a round; `generate` ablates one of its heads, or all.

    The engine goes from the last layer to the first, as it would by itself.
    """
    count, depth, rows = shape["num_attention_heads"], shape["num_hidden_layers"], len(context)
    sampled = depth if heads == "all" else min(int(heads), depth)
    layers = [(2 * index + 1) * depth // (2 * sampled) for index in reversed(range(sampled))]
    workers[ENGINE].ask("ablate", context=context, clean=clean, layers=layers)
    seconds: dict[str, list[float]] = {ENGINE: [], GENERATE: []}
    left, differ = 0, []
    for index, layer in enumerate(layers):
        chosen = list(range(count)) if heads == "all" else [index % count]
        naive = partial(workers[GENERATE].ask, "ablate", context=context, layer=layer, heads=chosen)
        answers, times = take_turns({ENGINE: partial(workers[ENGINE].ask, "next_layer"), GENERATE: naive}, [index])
        for name, values in times.items():
            seconds[name] += values
        ours = answers[ENGINE]
        left += sum(kept < STEPS for row in ours["kept"] for kept in row)
        for head, theirs in zip(chosen, answers[GENERATE]["tokens"], strict=True):
            tokens, margin = ([row[head] for row in ours[key]] for key in ("tokens", "margin"))
            differ += [{"layer": layer, "head": head} | row for row in differing(tokens, theirs, margin)]
    pairs = {ENGINE: rows * count, GENERATE: rows * len(chosen)}
    result = compared(seconds, pairs, unit="rows x heads/s")
    total = pairs[ENGINE] / sum(seconds[ENGINE]) * sum(seconds[GENERATE]) / pairs[GENERATE]
    share = left / (pairs[ENGINE] * sampled)
    print(f"  all layers together: engine / generate {total:.2f}; {share:.1%} leave the clean continuation")
    print(f"  {len(differ)} of {pairs[GENERATE] * sampled} that both ran differ{listed(differ)}")
    return result | {"layers": layers, "ratio_in_all": total, "share_that_leaves": share, "differ": differ}


def compressibility(workers: Mapping[str, Worker], context: Tokens, clean: Tokens, rounds: int) -> Answer:
    """All suffix lengths of contexts whose continuation is the model's own."""
    names = [ENGINE, GENERATE]
    calls = {name: partial(workers[name].ask, "suffixes", context=context, clean=clean) for name in names}
    answers, seconds = take_turns(calls, range(rounds))
    result = compared(seconds, dict.fromkeys(calls, len(context)))
    masks = zip(*(answers[name]["sufficient"] for name in names), strict=True)
    unequal = [sum(left != right for left, right in zip(*pair, strict=True)) for pair in masks]
    differ = [{"row": row, "lengths": lengths} for row, lengths in enumerate(unequal) if lengths]
    share = statistics.mean(value for row in answers[ENGINE]["sufficient"] for value in row)
    print(f"  {share:.1%} of the suffixes suffice; {len(differ)} of {len(context)} rows differ{listed(differ)}")
    return result | {"share_that_suffices": share, "differ": differ}


def take_turns(calls: Calls, rounds: Iterable[int]) -> tuple[dict[str, Answer], dict[str, list[float]]]:
    """The last answer and the seconds of each call; odd rounds go in reversed order."""
    answers: dict[str, Answer] = {}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in rounds:
        for name in list(calls)[:: -1 if round_ % 2 else 1]:
            time.sleep(SETTLE)
            answers[name] = calls[name]()
            seconds[name].append(answers[name]["seconds"])
    return answers, seconds


def compared(
    seconds: Mapping[str, Sequence[float]], done: Mapping[str, int], base: str = ENGINE, unit: str = "rows/s"
) -> Answer:
    """Print speeds and the ratio of `base` to each other; `done` is what each does in its seconds."""
    speeds = {name: [done[name] / value for value in values] for name, values in seconds.items()}
    ratios: dict[str, Answer] = {}
    for name, values in speeds.items():
        line = f"  {name:20}{shown(spread(values)):26}{unit}"
        if name != base:
            ratios[name] = spread([ours / theirs for ours, theirs in zip(speeds[base], values, strict=True)])
            line += f"   {base} / {name} {shown(ratios[name])}"
        print(line, flush=True)
    return {"unit": unit, "speed": {name: spread(values) for name, values in speeds.items()}, f"{base} over": ratios}


def tokens_compared(answers: Mapping[str, Answer], base: str, margins: str) -> Answer:
    """Print how many rows of each have other tokens than `base`, with the margins of `margins`."""
    reference, margin = answers[base]["tokens"], answers[margins]["margin"]
    others = {name: answer["tokens"] for name, answer in answers.items() if name != base and "tokens" in answer}
    differ = {name: differing(tokens, reference, margin) for name, tokens in others.items()}
    for name, found in differ.items():
        print(f"  {name}: {len(found)} of {len(margin)} rows differ from {base}{listed(found)}", flush=True)
    return {f"differ from {base}": differ}


def differing(tokens: Tokens, reference: Tokens, margin: Sequence[float]) -> list[Answer]:
    """Rows whose tokens are not the reference's, with their margins."""
    pairs = enumerate(zip(tokens, reference, strict=True))
    return [{"row": row, "margin": margin[row]} for row, (ours, theirs) in pairs if ours != theirs]


def listed(items: Sequence[Mapping[str, float]], most: int = 12) -> str:
    """The first items in words."""
    words = [" ".join(f"{key} {value:.2g}" for key, value in item.items()) for item in items[:most]]
    more = ["... (all are in the JSON file)"] if len(items) > most else []
    return (": " if items else "") + ", ".join(words + more)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def shown(figures: Mapping[str, float]) -> str:
    """A spread in words."""
    return "{median:.2f} ({least:.2f} to {greatest:.2f})".format(**figures)


def main() -> None:
    """Run all comparisons, print them, and write them to one JSON file."""
    parser = argparse.ArgumentParser("bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64, help="rows a batch (64)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of a comparison (5)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="threads of each peer (2)")
    parser.add_argument(
        "--clock",
        default="wall",
        choices=["wall", "processor"],
        help="processor: for one thread, where others work too",
    )
    parser.add_argument(
        "--heads", default="5", help="layers (5) in which the engine ablates all heads and generate one, or all"
    )
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--models", nargs="+", default=list(SHAPES)[:2], choices=list(SHAPES))
    parser.add_argument("--skip", nargs="+", default=[], choices=["layers", "ablation", "compressibility", "batches"])
    parser.add_argument("--vllm", metavar="PYTHON", help="of an environment with vLLM; without it vLLM is left out")
    parser.add_argument("--output", type=Path, default=Path("results/bench.json"))
    parser.add_argument("--quick", action="store_true", help=f"other defaults: {QUICK}")
    if parser.parse_known_args()[0].quick:
        parser.set_defaults(**QUICK)
    options = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    chosen = ("rows", "rounds", "threads", "clock", "heads", "dtypes", "models")
    about = machine() | {name: getattr(options, name) for name in chosen} | {"context": CONTEXT, "steps": STEPS}
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        results = bench.run()
    print("\n" + "; ".join(f"{peer}: {versions}" for peer, versions in bench.versions.items()))
    write_json(options.output, {"setting": about, "versions": bench.versions} | results)


if __name__ == "__main__":
    main()
