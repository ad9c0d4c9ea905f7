"""Sampling: a uniform, seeded choice of sequences per domain that no order of files can change.

Each document has a key, the hash of (seed, corpus, document id). A domain's sample is its n
eligible documents with the smallest keys, a bottom-k sample. Selections of any split of the corpus
merge to the selection of the whole.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from recite.errors import ReciteError
from recite.files import hash64
from recite.readers import Document, read_documents
from recite.tables.samples import SAMPLES
from recite.tokenizer import load_tokenizer


class Window(NamedTuple):
    """A sampled sequence; the fields are those of the samples table."""

    key: int
    domain: str
    document_id: str
    source_file: str
    source_row: int
    window_start: int
    text: bytes
    tokens: list[int]


class Plan(NamedTuple):
    """What to draw: seed, corpus, window length in tokens, its place, and rows per domain."""

    seed: int
    corpus: str
    tokens: int
    place: str
    rows: int


@dataclass
class Selection:
    """The n + 1 eligible documents with the smallest keys of each domain, and what was passed over.

    The one beyond n is kept because its key is the inclusion probability of the others.
    """

    rows: int
    heaps: dict[str, list[tuple[int, Window]]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, window: Window) -> None:
        """Keep the window if its key is among the smallest seen."""
        heap = self.heaps.setdefault(window.domain, [])
        heapq.heappush(heap, (-window.key, window))
        if len(heap) > self.rows + 1:
            heapq.heappop(heap)

    def windows(self, domain: str) -> list[Window]:
        """The domain's sample, at most n windows, by key."""
        return sorted(window for _, window in self.heaps.get(domain, []))[: self.rows]

    def inclusion_probability(self, domain: str) -> float:
        """Chance that an eligible document is chosen, given the other documents' keys (1 if all are)."""
        heap = self.heaps.get(domain, [])
        return -heap[0][0] / 2**64 if len(heap) > self.rows else 1.0


def select(path: Path, domains: Sequence[str], tokenizer: Tokenizer, plan: Plan) -> Selection:
    """The selection of one corpus file; documents of other domains are counted and passed over."""
    selection = Selection(plan.rows)
    for document in read_documents(path):
        if document.domain not in domains:
            selection.skipped[f"domain {document.domain} is not sampled"] += 1
            continue
        key = hash64(plan.seed, plan.corpus, document.id)
        window = _window(document, key, path.name, tokenizer, plan)
        if window is None:
            selection.skipped[f"domain {document.domain}: shorter than {plan.tokens} tokens"] += 1
        else:
            selection.add(window)
    return selection


def merge(selections: Iterable[Selection]) -> Selection:
    """The selection of the union of what the given ones were drawn from, whatever their order."""
    merged: Selection | None = None
    for selection in selections:
        merged = merged or Selection(selection.rows)
        for heap in selection.heaps.values():
            for _, window in heap:
                merged.add(window)
        merged.skipped += selection.skipped
    if merged is None:
        raise ReciteError("there is nothing to sample from: the corpus has no files.")
    return merged


def _window(document: Document, key: int, file: str, tokenizer: Tokenizer, plan: Plan) -> Window | None:
    encoding = tokenizer.encode(document.text, add_special_tokens=False)
    room = len(encoding.ids) - plan.tokens
    if room < 0:
        return None
    start = 0 if plan.place == "head" else hash64("offset", plan.seed, plan.corpus, document.id) % (room + 1)
    first, last = encoding.offsets[start][0], encoding.offsets[start + plan.tokens - 1][1]
    text = document.text[first:last].encode()
    tokens = encoding.ids[start : start + plan.tokens]
    return Window(key, document.domain, document.id, file, document.row, start, text, tokens)


def sample(options: Mapping[str, Any], documents: Sequence[Path], tokenizer: Path, shards: Mapping[str, Path]) -> None:
    """Draw the study's sample for one tokenizer and write it as shards of a fixed number of rows.

    `options` is the config's sampling section with seed and corpus; `shards` maps
    `<domain>-<index>` to its file. A domain with too few eligible documents is an error.
    """
    length = options["context_tokens"] + options["continuation_tokens"]
    plan = Plan(options["seed"], options["corpus"], length, options["window"], options["rows_per_domain"])
    encoder = load_tokenizer(tokenizer)
    chosen = merge(select(path, options["domains"], encoder, plan) for path in documents)
    drawn = {domain: chosen.windows(domain) for domain in options["domains"]}
    for domain, windows in drawn.items():
        if len(windows) < plan.rows:
            raise ReciteError(
                f"domain {domain} of corpus {plan.corpus} has only {len(windows)} documents of {length} tokens or "
                f"more, {plan.rows} are asked for; lower sampling.rows_per_domain or drop the domain."
            )
    print(f"passed over: {dict(sorted(chosen.skipped.items()))}")
    size = options["shard_rows"]
    for shard, path in shards.items():
        domain, _, index = shard.rpartition("-")
        windows = drawn[domain][int(index) * size : (int(index) + 1) * size]
        probability = chosen.inclusion_probability(domain)
        metadata = {"options": dict(options), "shard": shard, "skipped": dict(sorted(chosen.skipped.items()))}
        SAMPLES.write(path, _columns(windows, plan.corpus, options["context_tokens"], probability), metadata)


def _columns(windows: Sequence[Window], corpus: str, context: int, probability: float) -> dict[str, list[Any]]:
    return {
        "row_id": [hash64("row", corpus, w.document_id, w.window_start) for w in windows],
        "sequence_id": [hash64("sequence", w.tokens) for w in windows],
        "domain": [w.domain for w in windows],
        "document_id": [w.document_id for w in windows],
        "source_file": [w.source_file for w in windows],
        "source_row": [w.source_row for w in windows],
        "window_start": [w.window_start for w in windows],
        "text": [w.text for w in windows],
        "context": [w.tokens[:context] for w in windows],
        "continuation": [w.tokens[context:] for w in windows],
        "inclusion_probability": [probability] * len(windows),
    }
