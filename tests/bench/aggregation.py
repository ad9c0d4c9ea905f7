"""Aggregation of a large study's scores: seconds and peak memory, on generated scores of a paper-like shape.

make bench-aggregation        10 million rows: 4 models of one corpus, 10 domains of 250,000 rows each
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from recite.stages.scoring.rows import SCORES
from recite.stages.scoring.summarize import aggregate_scores

MODELS = {"small": 10**9, "medium": 3 * 10**9, "large": 7 * 10**9, "huge": 12 * 10**9}
DOMAINS = 10
STEPS = 32
MEMORIZED = 0.03
SHARE = 0.3
"""Of each domain's documents, how many are sampled."""
COPIES = 0.1
"""Share of rows that are given another row's text."""
SCRAMBLE = np.uint64(0x9E3779B97F4A7C15)
"""An odd factor that makes a hash of a text's name: how easily the text is memorized."""


def write_scores(folder: Path, rows: int) -> list[Path]:
    """Scores of `rows` rows of every model, a file per domain; larger models memorize more of the same texts."""
    paths = []
    for domain in range(DOMAINS):
        rng = np.random.default_rng(domain)
        n = rows // DOMAINS
        row_ids = rng.integers(2**63, size=n, dtype=np.uint64)
        texts = np.where(rng.random(n) < COPIES, row_ids[rng.integers(n, size=n)], row_ids)
        ease = (texts * SCRAMBLE >> np.uint64(11)) / 2**53
        for place, (model, parameters) in enumerate(MODELS.items()):
            hits = np.where(ease < MEMORIZED * (1 + place), STEPS, (ease * STEPS).astype(int) % STEPS)
            columns = {
                "row_id": row_ids,
                "sequence_id": texts,
                "domain": pa.array([f"domain{domain}"] * n).dictionary_encode(),
                "inclusion_probability": np.full(n, SHARE),
                "hits": hits.astype(np.uint8),
                "first_mismatch": hits.astype(np.uint8),
                "generated": pa.array([[1] * STEPS] * n, pa.list_(pa.uint32())),
                "margin": rng.random(n, dtype=np.float32),
            }
            made = {
                "options": {"model": model, "family": "family"},
                "parameters": parameters,
                "continuation_tokens": STEPS,
                "dtype": "float32",
            }
            paths.append(folder / f"{model}-{domain}.parquet")
            SCORES.write(paths[-1], columns, made)
    return paths


def aggregate(folder: Path, estimand: str) -> None:
    """Aggregate the folder's scores and print seconds and peak memory as JSON; a process of its own."""
    options = {
        "seed": 1,
        "corpora": dict.fromkeys(MODELS, "corpus"),
        "kinds": {"corpus": {f"domain{domain}": "free_text" for domain in range(DOMAINS)}},
        "estimand": estimand,
        "confidence": 0.95,
        "resamples": 2000,
        "memorized": 1.0,
        "half": 0.5,
        "unmemorized": 0.0,
        "margin_tolerance": {"float32": 1e-4},
    }
    names = ("rates", "distribution", "disjoint_samples", "replicates", "draws")
    before = time.perf_counter()
    aggregate_scores(options, sorted(folder.glob("*.parquet")), [], None, {n: folder / "made" / n for n in names})
    seconds = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": round(seconds, 1), "peak_gb": round(peak / 1e9, 2)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10**7, help="rows of all models together")
    parser.add_argument("--estimand", choices=("corpus", "texts"), default="corpus", help="what is resampled")
    parser.add_argument("--aggregate", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.aggregate:
        aggregate(arguments.aggregate, arguments.estimand)
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = write_scores(Path(folder), arguments.rows // len(MODELS))
        command = [sys.executable, "-m", "bench.aggregation", "--estimand", arguments.estimand, "--aggregate", folder]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(f"{arguments.rows:,} rows in {len(paths)} files: {found['seconds']} s, {found['peak_gb']} GB at most")


if __name__ == "__main__":
    main()
