"""Sampling: a uniform, seeded choice of sequences of one domain that no order of files can change.

The sample is the n eligible documents with the smallest keys, a bottom-k sample; a document is eligible if the excerpt
that is its candidate holds a window of tokens. The (n + 1)-th smallest key is the inclusion probability of
the others.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recite.corpora.tables.candidates import CANDIDATES, in_order
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tokenizer import Encoder, load_tokenizer
from recite.errors import ReciteError
from recite.files import hash64
from recite.tables import read_metadata

BATCH_DOCUMENTS = 1024


class Pool(NamedTuple):
    """The candidates of one domain, by key, each document once.

    whole: whether they are all of the domain's documents. documents, repeated: how many the corpus holds, and how many
    candidates bear the identifier of another. skipped: what was passed over in the corpus, by reason.
    """

    rows: pa.Table
    whole: bool
    documents: int
    repeated: int
    skipped: dict[str, int]


class Window(NamedTuple):
    """The first tokens of a candidate's excerpt, and where each of them ends in it, in characters."""

    row: int
    tokens: list[int]
    ends: list[int]


def sample(options: Mapping[str, Any], candidates: Sequence[Path], tokenizer: Path, shards: Sequence[Path]) -> None:
    """Draw one domain's sample under one tokenizer and write it as shards of a fixed number of rows.

    `options` are the config's sampling section with corpus and domain. A domain with too few eligible documents is
    an error, and so are candidates that end before the sample is full.
    """
    pool = read_pool(candidates, options["domain"])
    length, rows = options["context_tokens"] + options["continuation_tokens"], options["rows_per_domain"]
    encoder = load_tokenizer(tokenizer)
    examined: list[Window | None] = []
    found: list[Window] = []
    for window in _windows(pool, encoder, length):
        examined.append(window)
        found += [window] if window else []
        if len(found) > rows:
            break
    full = len(found) > rows or (pool.whole and len(found) == rows)
    if not full:
        raise ReciteError(_too_few(options, pool, len(found), length))
    probability = pool.rows["key"][found[rows].row].as_py() / 2**64 if len(found) > rows else 1.0
    short = len(examined) - len(found)
    print(f"{options['domain']}: {short} of {len(examined)} documents are shorter than {length} tokens")
    if pool.repeated:
        print(f"{options['domain']}: {pool.repeated} candidates bear the identifier of another and are passed over")
    metadata = {
        "options": dict(options),
        "documents": pool.documents,
        "examined": len(examined),
        "short": short,
        "repeated": pool.repeated,
        "skipped": pool.skipped,
    }
    size = options["shard_rows"]
    for index, path in enumerate(shards):
        chosen = found[:rows][index * size : (index + 1) * size]
        SAMPLES.write(path, _columns(pool.rows, chosen, options, probability), metadata | {"shard": path.stem})


def read_pool(candidates: Sequence[Path], domain: str) -> Pool:
    """All candidates of a domain that are known to be all below their key, from every split of the corpus."""
    notes = [read_metadata(path) for path in candidates]
    bounds = [note["bounds"][domain] for note in notes if note["bounds"].get(domain) is not None]
    wanted = pc.field("domain") == domain
    if bounds:
        wanted &= pc.field("key") <= pa.scalar(min(bounds), pa.uint64())
    tables = [CANDIDATES.read(path, filters=wanted) for path in candidates]
    rows = in_order(tables)
    keys = rows["key"].to_numpy()
    first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    skipped: Counter[str] = Counter()
    for note in notes:
        for reason, skip in note["skipped"].items():
            skipped[reason] += skip["count"]
    return Pool(
        rows.filter(pa.array(first)),
        not bounds,
        sum(note["documents"].get(domain, 0) for note in notes),
        int((~first).sum()),
        dict(sorted(skipped.items())),
    )


def _windows(pool: Pool, encoder: Encoder, length: int) -> Iterator[Window | None]:
    """The window of every candidate in turn, or None for one that is too short."""
    for start in range(0, len(pool.rows), BATCH_DOCUMENTS):
        batch = pool.rows.slice(start, BATCH_DOCUMENTS)
        heads = [start == 0 for start in batch["start"].to_pylist()]
        encoded = encoder.encode_parts(batch["excerpt"].to_pylist(), heads, batch["whole"].to_pylist())
        for index, (tokens, ends) in enumerate(encoded):
            # Where there was no space to cut at, the last token may be the head of a longer one.
            room = len(tokens) if batch["whole"][index].as_py() else len(tokens) - 1
            yield Window(start + index, tokens[:length], ends[:length]) if room >= length else None


def _too_few(options: Mapping[str, Any], pool: Pool, found: int, length: int) -> str:
    place = f"domain {options['domain']} of corpus {options['corpus']}"
    wanted = options["rows_per_domain"]
    candidates = len(pool.rows)
    if pool.repeated and (candidates + pool.repeated) * found >= wanted * candidates:
        what = "documents" if pool.whole else "candidates"
        return (
            f"{place}: {pool.repeated} of {candidates + pool.repeated} {what} bear the identifier of another and are "
            f"passed over; of the others {found} have {length} tokens or more, {wanted + (not pool.whole)} are needed. "
            "Where identifiers begin anew in each file, leave out `id` in the corpus's `files` entry of the corpora "
            "file: file and row are the identifier then. Where these are the same documents, lower "
            "sampling.rows_per_domain."
        )
    dropped = f" ({pool.repeated} more bear the identifier of another)" if pool.repeated else ""
    if pool.whole:
        return (
            f"{place} has only {found} documents of {length} tokens or more{dropped}, {wanted} are asked for; "
            "lower sampling.rows_per_domain or drop the domain."
        )
    return (
        f"{place}: only {found} of {candidates} candidates have {length} tokens or more{dropped}, {wanted + 1} are "
        "needed; raise sampling.candidates_per_row."
    )


def _columns(
    rows: pa.Table, windows: Sequence[Window], options: Mapping[str, Any], probability: float
) -> dict[str, Any]:
    corpus, context = options["corpus"], options["context_tokens"]
    chosen = rows.take(pa.array([window.row for window in windows], pa.int64())).to_pylist()
    pairs = list(zip(chosen, windows, strict=True))
    return {
        "row_id": [hash64("row", corpus, row["document_id"], row["start"]) for row in chosen],
        "sequence_id": [hash64("sequence", window.tokens) for window in windows],
        "domain": [row["domain"] for row in chosen],
        "document_id": [row["document_id"] for row in chosen],
        "source_file": [row["source_file"] for row in chosen],
        "source_row": [row["source_row"] for row in chosen],
        "window_start": [row["start"] for row in chosen],
        "text": [row["excerpt"][: window.ends[-1]].encode() for row, window in pairs],
        "context_bytes": [len(row["excerpt"][: window.ends[context - 1]].encode()) for row, window in pairs],
        "context": [window.tokens[:context] for window in windows],
        "continuation": [window.tokens[context:] for window in windows],
        "inclusion_probability": [probability] * len(chosen),
    }
