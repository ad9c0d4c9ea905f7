"""What a job's reading of its samples takes: seconds and main memory, of shards of the paper's size."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recite.corpora.tables.samples import SAMPLES
from recite.engine.rows import read_rows
from recite.study.study import Study
from rehearsal.sampled import domain_rows, sample_columns

SHARD_ROWS, SHARDS = 100_000, 13
KIBIBYTE = 1024


def reading_told(study: Study) -> str:
    """A planted shard, read as if it were so many, in a process of its own whose memory nothing else has raised."""
    family, first = next(iter(study.families.items()))
    domain = next(iter(study.domains[first.corpus]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{domain}-0000.parquet")
        SAMPLES.write(path, sample_columns(domain_rows(study.seed, family, domain, SHARD_ROWS)), {})
        command = [sys.executable, "-m", "rehearsal.reading", str(path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def peak() -> int:
    """Most bytes of main memory so far, as Linux says it; `getrusage` counts those of whoever started the process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * KIBIBYTE


def main() -> None:
    path = Path(sys.argv[1])
    read_rows([path], most=1)
    before, began = peak(), time.perf_counter()
    rows = len(read_rows([path] * SHARDS).ids)
    seconds = time.perf_counter() - began
    told = f"{(peak() - before) / rows:.0f} bytes a row, {seconds / rows * 1e5:.2f} s per 100,000 rows"
    print(f"samples read: {rows:,} rows of {SHARDS} shards, {told}")


if __name__ == "__main__":
    main()
