"""The reading of a corpus beside a plain loop of decompression and `json.loads`, one core each, in turns.

    make bench-sampling, or with options (see --help):
    PYTHONPATH=workflow:tests .venv/bin/python -m bench.sampling --documents 100000

The corpus is the text of the installed packages, cut into documents of 2 to 8 KB, as often as it takes. Then the peak
memory of `gather` on generated corpora of ten times as many documents each, in processes of their own.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import zstandard

from recite.corpora.candidates import gather
from recite.corpora.readers import Layout

LAYOUT = Layout("text", None, "meta.set", labels={str(index): str(index) for index in range(20)})
DRAW = {"seed": 1, "corpus": "bench", "most": 1000, "excerpt": 1024, "place": "head"}
LINE_BYTES = 250
"""Uncompressed bytes of a generated document."""


def texts() -> Iterator[str]:
    """Documents of 2 to 8 KB, for ever."""
    files = sorted(Path(sysconfig.get_path("purelib")).rglob("*.py"))
    while True:
        for file in files:
            text = file.read_text(errors="replace")
            size = 2048 + 73 * len(text) % 6144
            yield from (text[start : start + size] for start in range(0, len(text) - size, size))


def write_corpus(path: Path, megabytes: int) -> int:
    """Write a corpus of so much uncompressed text; its bytes."""
    written = 0
    with path.open("wb") as file, zstandard.ZstdCompressor(3).stream_writer(file) as stream:
        for index, text in enumerate(texts()):
            written += stream.write(json.dumps({"text": text, "meta": {"set": str(index % 20)}}).encode() + b"\n")
            if written >= megabytes * 10**6:
                return written
    return written


def plain_loop(path: Path) -> None:
    """What one would write first."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        rest = b""
        while chunk := stream.read(1 << 20):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                json.loads(line)


def peak_megabytes(documents: int) -> float:
    """Peak memory of gathering from that many generated documents."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.sampling", "--gather", str(documents), folder]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(run.stdout)


def gather_generated(documents: int, folder: Path) -> None:
    """Write and gather generated documents; print this process's peak memory."""
    path = folder / "generated.jsonl.zst"
    with path.open("wb") as file, zstandard.ZstdCompressor(1).stream_writer(file) as stream:
        for index in range(documents):
            fields = {"text": f"document {index} " * 12, "meta": {"set": str(index % 20)}}
            stream.write(json.dumps(fields).encode().ljust(LINE_BYTES) + b"\n")
    gather(DRAW, {path.name: path}, LAYOUT, folder / "candidates.parquet", 1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Both comparisons."""
    parser = argparse.ArgumentParser(
        "sampling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=400, help="text of the timed corpus (400)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--documents", type=int, default=10**6, help="of the largest generated corpus (1,000,000)")
    parser.add_argument("--gather", nargs=2, metavar=("DOCUMENTS", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.gather:
        return gather_generated(int(options.gather[0]), Path(options.gather[1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.jsonl.zst"
        size = write_corpus(path, options.megabytes)
        ours, plain = [], []
        for _ in range(options.rounds):
            start = time.perf_counter()
            gather(DRAW, {path.name: path}, LAYOUT, Path(folder) / "candidates.parquet", 1)
            ours.append(size / 1e6 / (time.perf_counter() - start))
            start = time.perf_counter()
            plain_loop(path)
            plain.append(size / 1e6 / (time.perf_counter() - start))
    ratios = [own / other for own, other in zip(ours, plain, strict=True)]
    for name, values in (("gather, MB/s", ours), ("plain loop, MB/s", plain), ("ratio", ratios)):
        print(f"{name:18}{statistics.median(values):8.2f} ({min(values):.2f} to {max(values):.2f})", flush=True)
    documents = 10**5
    while documents <= options.documents:
        print(f"{documents:>10,} documents: peak {peak_megabytes(documents):.0f} MB", flush=True)
        documents *= 10
    return None


if __name__ == "__main__":
    main()
