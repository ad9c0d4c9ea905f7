"""Candidates: of every domain the documents with the smallest keys, in one streaming pass over a corpus's files.

A document's key is the hash of (seed, corpus, document id). Of every domain the documents whose keys are at most its
*bound* are kept, and all of them, where the bound is the m-th smallest key among what was read: what is kept does not
depend on the order of the files, on the number of workers, or on restarts, and the bounds of any split of a corpus
merge by their minimum. Files are read in parallel; a file that is done leaves a part behind, so that a run that is
killed goes on where it was. Keys alone are held in memory.
"""

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from itertools import chain
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recite.corpora.readers import Document, Layout, Share, Skipped, bytes_of, files_of, read_documents
from recite.corpora.tables.candidates import CANDIDATES, in_order
from recite.errors import ReciteError
from recite.files import atomic, canonical_json, hash64, read_json, write_json
from recite.progress import Progress

EVERY_KEY = 2**64
BATCH_DOCUMENTS = 4096
SPACE = re.compile(r"\s")


class Draw(NamedTuple):
    """What to keep: of every domain the `most` smallest keys, and of a document `excerpt` characters.

    place: "head", or "offset" for an excerpt that starts at the first white space after a seeded character.
    """

    seed: int
    corpus: str
    most: int
    excerpt: int
    place: str


class Smallest:
    """Bounds of every domain while its keys come in; at most 2 x `most` keys a domain are held."""

    def __init__(self, most: int, bounds: Mapping[str, int] = {}) -> None:
        self.most = most
        self.bounds = dict(bounds)
        self.keys: dict[str, array[int]] = {}

    def take(self, domain: str, key: int) -> bool:
        """Whether the key may be among the smallest of its domain; if so it is counted."""
        if key > self.bounds.get(domain, EVERY_KEY):
            return False
        keys = self.keys.setdefault(domain, array("Q"))
        keys.append(key)
        if len(keys) >= 2 * self.most:
            self._settle(domain)
        return True

    def add(self, domain: str, keys: np.ndarray) -> None:
        """Count many keys (uint64) at once."""
        self.keys.setdefault(domain, array("Q")).frombytes(keys.tobytes())
        self._settle(domain)

    def settled(self) -> dict[str, int]:
        """The bound of every domain of which `most` documents were seen, here or by who gave the first bounds."""
        for domain in self.keys:
            self._settle(domain)
        return self.bounds

    def _settle(self, domain: str) -> None:
        keys = np.asarray(self.keys[domain])
        if len(keys) >= self.most:
            keys = np.partition(keys, self.most - 1)[: self.most]
            self.bounds[domain] = min(int(keys[-1]), self.bounds.get(domain, EVERY_KEY))
            self.keys[domain] = array("Q", keys.tobytes())


def gather(
    options: Mapping[str, Any],
    files: Mapping[str, Share],
    layout: Layout,
    candidates: Path,
    threads: int,
    without: Mapping[str, int] = {},
) -> None:
    """Write the candidates of some files of a corpus, sorted by domain and key.

    `options` give seed, corpus, most, excerpt and place; `files` maps names within the corpus to what is read in one
    go, `without` names of files that the corpus's entry leaves out to their bytes. Metadata of the result: per domain
    the bound (none where all documents are there) and the documents read, what was skipped, and what was left out.
    Memory does not grow with the corpus. Raises ReciteError, which names all of them, for files that cannot be read.
    """
    if not files:
        raise ReciteError(f"corpus {options['corpus']} has no files to sample from.")
    draw = Draw(**options)
    folder = candidates.with_name(f".{candidates.stem}")
    parts = _parts(draw, files, layout, folder, threads)
    records = [read_json(part.with_suffix(".json")) for part in parts]
    smallest = Smallest(draw.most)
    for part, record in zip(parts, records, strict=True):
        file = pq.ParquetFile(part)
        for index, domain in enumerate(record["batches"]):
            smallest.add(domain, file.read_row_group(index, columns=["key"])["key"].to_numpy())
    bounds = smallest.settled()
    read: Counter[str] = sum((Counter(record["documents"]) for record in records), Counter())
    skipped: Counter[str] = sum((Counter(record["skipped"]) for record in records), Counter())
    first = {reason: place for record in reversed(records) for reason, place in record["first"].items()}
    metadata = {
        "options": dict(options),
        "bounds": {domain: bounds.get(domain) for domain in sorted(read)},
        "documents": dict(sorted(read.items())),
        "skipped": {reason: {"count": count, "first": first[reason]} for reason, count in sorted(skipped.items())},
        "files": {name: record["bytes"] for name, record in zip(sorted(files), records, strict=True)},
    }
    metadata |= {"without": dict(without)} if without else {}
    batches = [record["batches"] for record in records]
    CANDIDATES.write_batches(candidates, _sorted(parts, batches, sorted(read), bounds), metadata)
    rmtree(folder)


def _parts(draw: Draw, files: Mapping[str, Share], layout: Layout, folder: Path, threads: int) -> list[Path]:
    """The part of every file, in the order of their names; those that an earlier run left are kept."""
    bounds: dict[str, int] = {}
    waiting: list[str] = []
    parts = _places(draw, files, layout, folder)
    # bounds went from file to file, so what is left of a file that is no longer here, or has changed, spoils all
    if not {path.stem for path in folder.glob("*.json")} <= {part.stem for part in parts.values()}:
        rmtree(folder)
    for name, part in parts.items():
        if part.with_suffix(".json").exists():
            _lower(bounds, read_json(part.with_suffix(".json"))["bounds"])
        else:
            waiting.append(name)
    broken: dict[str, ReciteError] = {}
    done = Progress(len(waiting), "files")
    for name, result in _results(draw, files, layout, waiting, bounds, parts, threads):
        try:
            _lower(bounds, result())
        except ReciteError as error:
            broken[name] = error
        done(1)
    if broken:
        reasons = " ".join(str(broken[name]) for name in sorted(broken))
        raise ReciteError(
            f"corpus {draw.corpus}: {len(broken)} of {len(files)} files cannot be read; mend them, or go on without "
            f"them by naming them under `without` beside `patterns` in the corpora file: {reasons}"
        )
    return list(parts.values())


def _results(
    draw: Draw,
    files: Mapping[str, Share],
    layout: Layout,
    waiting: Sequence[str],
    bounds: Mapping[str, int],
    parts: Mapping[str, Path],
    threads: int,
) -> Iterator[tuple[str, Callable[[], dict[str, int]]]]:
    """Names of files as they are done, and what gives their bounds, or raises; each starts with the `bounds` so far."""
    if threads == 1 or len(waiting) < 2:
        for name in waiting:
            yield name, partial(collect, draw, name, files[name], layout, bounds, parts[name])
        return
    left = [*waiting]
    with ProcessPoolExecutor(threads) as pool:
        running: dict[Future[dict[str, int]], str] = {}
        while left or running:
            while left and len(running) < threads:
                name = left.pop(0)
                running[pool.submit(collect, draw, name, files[name], layout, dict(bounds), parts[name])] = name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result


def _places(draw: Draw, files: Mapping[str, Share], layout: Layout, folder: Path) -> dict[str, Path]:
    """Where the part of every file lies, by what decides it beside the bounds: the file, and how it is read."""
    behind = {name: files_of(share) for name, share in sorted(files.items())}
    lost = [str(path) for path in dict.fromkeys(chain(*behind.values())) if not path.exists()]
    if lost:
        verb = "does" if len(lost) == 1 else "do"
        raise ReciteError(f"{', '.join(lost)} {verb} not exist; put the corpus's files there, or correct their paths.")
    states = {
        name: [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths] for name, paths in behind.items()
    }
    keys = {name: hash64(canonical_json([draw, layout, name, state])) for name, state in states.items()}
    return {name: folder / f"{key:016x}.parquet" for name, key in keys.items()}


def _lower(bounds: dict[str, int], others: Mapping[str, int]) -> None:
    for domain, bound in others.items():
        bounds[domain] = min(bound, bounds.get(domain, EVERY_KEY))


def collect(
    draw: Draw, name: str, share: Share, layout: Layout, bounds: Mapping[str, int], part: Path
) -> dict[str, int]:
    """Write one share's candidates and, when they are whole, their record; the bounds that follow.

    `bounds` are those of other files of the corpus: documents above them are not kept.
    """
    smallest, skipped, documents = Smallest(draw.most, bounds), Skipped(), Counter[str]()
    batches: list[str] = []
    with atomic(part) as temporary, pq.ParquetWriter(temporary, CANDIDATES.schema, compression="zstd") as writer:
        for batch in _batches(draw, read_documents(share, name, layout, skipped), smallest, documents):
            batches.append(batch[0][1])
            columns = dict(zip(CANDIDATES.names, zip(*batch, strict=True), strict=True))
            writer.write_table(pa.table(columns, CANDIDATES.schema))
    found = smallest.settled()
    record = {
        "bounds": found,
        "batches": batches,
        "documents": documents,
        "skipped": skipped.counts,
        "first": skipped.first,
    }
    write_json(part.with_suffix(".json"), record | {"bytes": bytes_of(share)})
    return found


def _batches(
    draw: Draw, documents: Iterator[Document], smallest: Smallest, counts: Counter[str]
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of the documents that are kept; those of a batch are of one domain, so that a reader skips the others."""
    batches: dict[str, list[tuple[Any, ...]]] = {}
    for document in documents:
        domain = document.domain
        counts[domain] += 1
        key = hash64(draw.seed, draw.corpus, document.id)
        if smallest.take(domain, key):
            start = _start(draw, document)
            excerpt, whole = _excerpt(document.text, start, draw.excerpt)
            batch = batches.setdefault(domain, [])
            batch.append((key, domain, document.id, document.source, document.row, start, whole, excerpt))
            if len(batch) == BATCH_DOCUMENTS:
                yield batches.pop(domain)
    yield from batches.values()


def _start(draw: Draw, document: Document) -> int:
    """Where a document's excerpt starts."""
    room = len(document.text) - draw.excerpt
    if draw.place == "head" or room <= 0:
        return 0
    start = hash64("offset", draw.seed, draw.corpus, document.id) % (room + 1)
    space = SPACE.search(document.text, start, start + draw.excerpt)
    return space.start() if start and space else start


def _excerpt(text: str, start: int, size: int) -> tuple[str, bool]:
    """At most `size` characters from `start`, and whether they reach the end; if not, no word is cut that need not be.

    Tokenizers do not merge over the start of a word, so the excerpt has the tokens of the whole text.
    """
    excerpt = text[start : start + size]
    if start + len(excerpt) == len(text):
        return excerpt, True
    words = excerpt.rstrip() if excerpt[-1].isspace() else excerpt.rsplit(None, 1)[0]
    return (words if 2 * len(words) > size else excerpt), False


def _sorted(
    parts: Sequence[Path], batches: Sequence[list[str]], domains: Sequence[str], bounds: Mapping[str, int]
) -> Iterator[pa.Table]:
    """The candidates of one domain after the other, by key; `batches` name the domain of each of a part's batches."""
    for domain in domains:
        tables = []
        for part, names in zip(parts, batches, strict=True):
            own = [index for index, name in enumerate(names) if name == domain]
            table = pq.ParquetFile(part).read_row_groups(own)
            if domain in bounds:
                table = table.filter(pc.less_equal(table["key"], pa.scalar(bounds[domain], pa.uint64())))
            tables.append(table)
        yield in_order(tables)
