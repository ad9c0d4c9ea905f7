"""Counting spans in a corpus: an index of it, made and asked, beside `bytes.count` on the same spans, in turns.

    make bench-frequency, or with options (see --help):
    PYTHONPATH=workflow:tests .venv/bin/python -m bench.frequency --spans 1000 --rounds 1

The corpus is the text of the installed packages, cut into documents of 2 to 8 KB, as often as it takes; a span is a
row's length of text from a random place. `bytes.count` passes over places that overlap an occurrence, so that the
counts of few spans may differ; those are counted again with overlaps, and must agree.
"""

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from bench.sampling import texts
from recite.stages.frequency.ngrams import Index, build_index, units_of

SPAN_BYTES = (40, 400)


def corpus_of(megabytes: int) -> list[str]:
    """Documents of so much text."""
    found, size = [], 0
    for text in texts():
        found.append(text)
        size += len(text.encode())
        if size >= megabytes * 10**6:
            return found
    return found


def spans_of(documents: list[str], number: int) -> list[bytes]:
    """Text of random length from random places."""
    source = random.Random(1)
    found: list[bytes] = []
    while len(found) < number:
        text = source.choice(documents)
        start, length = source.randrange(len(text)), source.randint(*SPAN_BYTES)
        found.append(text[start : start + length].encode())
    return found


def with_overlaps(corpus: bytes, span: bytes) -> int:
    """Occurrences of a span, overlapping ones too."""
    place, number = corpus.find(span), 0
    while place >= 0:
        place, number = corpus.find(span, place + 1), number + 1
    return number


def by_index(documents: list[str], spans: list[bytes], threads: int) -> tuple[float, float, list[int]]:
    """Seconds to make an index and to count in it, and the counts."""
    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter()
        build_index(documents, units_of(None), Path(folder), threads=threads, gigabytes=4)
        made = time.perf_counter()
        counts = Index([Path(folder)]).counts([tuple(span) for span in spans])
        return made - before, time.perf_counter() - made, counts


def by_search(documents: list[str], spans: list[bytes]) -> tuple[float, list[int], bytes]:
    """Seconds to search the whole corpus for every span, the counts, and the corpus, a separator before each text."""
    corpus = b"\xff" + b"\xff".join(text.encode() for text in documents)
    before = time.perf_counter()
    counts = [corpus.count(span) for span in spans]
    return time.perf_counter() - before, counts, corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--spans", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="cores that sort the index; all else is one")
    arguments = parser.parse_args()
    documents = corpus_of(arguments.megabytes)
    spans = spans_of(documents, arguments.spans)
    ratios = []
    for number in range(arguments.rounds):
        made, asked, counts = by_index(documents, spans, arguments.threads)
        searched, expected, corpus = by_search(documents, spans)
        differing = [i for i, (a, b) in enumerate(zip(counts, expected, strict=True)) if a != b]
        wrong = sum(counts[i] != with_overlaps(corpus, spans[i]) for i in differing)
        ratios.append(searched / (made + asked))
        print(f"round {number + 1}: index {made:.1f} s, {len(spans):,} spans in it {asked:.1f} s", flush=True)
        print(f"  bytes.count {searched:.1f} s; ratio {ratios[-1]:.1f}")
        print(f"  {len(differing)} spans overlap themselves, {wrong} counts are wrong", flush=True)
    print(f"ratio: median {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
