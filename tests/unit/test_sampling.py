"""The sampler against an exhaustive reference, and the laws that make it safe to shard."""

import hashlib
import itertools
import json
import random
from pathlib import Path

import pytest
import zstandard
from tokenizers import Tokenizer

from recite.errors import ReciteError
from recite.sampling import Plan, Selection, merge, sample, select
from recite.tables import read_metadata
from recite.tables.samples import SAMPLES
from recite.tokenization import train_tokenizer

WORDS = ["the", "of", "and", "to", "in", "is", "was", "he", "for", "it", "with", "as", "his", "on", "be", "at", "by"]
DOMAINS = ["prose", "lists"]
PLAN = Plan(seed=5, corpus="small", tokens=12, place="head", rows=15)
OPTIONS = {
    "seed": 5,
    "corpus": "small",
    "domains": DOMAINS,
    "context_tokens": 8,
    "continuation_tokens": 4,
    "rows_per_domain": 15,
    "shard_rows": 6,
    "window": "head",
}


def documents() -> list[dict[str, str]]:
    """Sixty documents a domain of 5 to 40 words: some too short, one domain that is not sampled."""
    draw = random.Random(1)
    made = []
    for index, domain in itertools.product(range(60), [*DOMAINS, "other"]):
        text = " ".join(draw.choices(WORDS, k=draw.randint(5, 40)))
        made.append({"id": f"{domain}/{index}", "domain": domain, "text": text})
    return made


def write(path: Path, docs: list[dict[str, str]]) -> Path:
    """A corpus file of these documents."""
    text = "".join(json.dumps(document) + "\n" for document in docs)
    path.write_bytes(zstandard.compress(text.encode()))
    return path


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A tokenizer under which the documents have 5 to 40 tokens or so."""
    return train_tokenizer([document["text"] for document in documents()], 320)


def reference_key(document_id: str) -> int:
    """The key, written out again: the first 8 bytes, little-endian, of BLAKE2b over the joined parts."""
    digest = hashlib.blake2b(f"5\x1fsmall\x1f{document_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def test_equals_exhaustive_reference(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """The early exit on large keys must never lose a document that belongs to the sample."""
    docs = documents()
    chosen = select(write(tmp_path / "all.jsonl.zst", docs), DOMAINS, tokenizer, PLAN)
    for domain in DOMAINS:
        eligible = [d for d in docs if d["domain"] == domain and len(tokenizer.encode(d["text"]).ids) >= 12]
        eligible.sort(key=lambda d: reference_key(d["id"]))
        assert [w.document_id for w in chosen.windows(domain)] == [d["id"] for d in eligible[:15]]
        assert chosen.inclusion_probability(domain) == reference_key(eligible[15]["id"]) / 2**64
        for window, document in zip(chosen.windows(domain), eligible, strict=False):
            assert window.tokens == tokenizer.encode(document["text"]).ids[:12]
            assert document["text"].encode().startswith(window.text)
        short = sum(len(tokenizer.encode(d["text"]).ids) < 12 for d in docs if d["domain"] == domain)
        assert chosen.skipped[f"domain {domain}: shorter than 12 tokens"] == short > 0
    assert chosen.skipped["domain other is not sampled"] == 60


@pytest.mark.parametrize("cuts", [(90,), (1, 2, 100), (30, 60, 90, 120)])
def test_any_split_in_any_order_merges_to_the_whole(
    tmp_path: Path, tokenizer: Tokenizer, cuts: tuple[int, ...]
) -> None:
    """File boundaries, their order and the number of workers must not change the sample."""
    docs = documents()
    whole = select(write(tmp_path / "all.jsonl.zst", docs), DOMAINS, tokenizer, PLAN)
    pieces = [docs[a:b] for a, b in itertools.pairwise((0, *cuts, len(docs)))]
    parts = [
        select(write(tmp_path / f"{i}.jsonl.zst", piece), DOMAINS, tokenizer, PLAN) for i, piece in enumerate(pieces)
    ]
    for order in (parts, parts[::-1]):
        merged = merge(order)
        for domain in DOMAINS:
            ids = [(w.key, w.document_id, w.tokens) for w in merged.windows(domain)]
            assert ids == [(w.key, w.document_id, w.tokens) for w in whole.windows(domain)]
            assert merged.inclusion_probability(domain) == whole.inclusion_probability(domain)
        assert merged.skipped == whole.skipped


def test_shards_hold_the_sample_in_order(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Shards must be whole: no row lost, none twice, the last one shorter."""
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    path = write(tmp_path / "all.jsonl.zst", documents())
    shards = {
        f"{domain}-{index:04d}": tmp_path / f"{domain}-{index:04d}.parquet" for domain in DOMAINS for index in range(3)
    }
    sample(OPTIONS, [path], tmp_path / "tokenizer.json", shards)
    chosen = select(path, DOMAINS, tokenizer, PLAN)
    for domain in DOMAINS:
        tables = [SAMPLES.read(shards[f"{domain}-{index:04d}"]).to_pylist() for index in range(3)]
        assert [len(table) for table in tables] == [6, 6, 3]
        rows = [row for table in tables for row in table]
        assert [row["document_id"] for row in rows] == [w.document_id for w in chosen.windows(domain)]
        assert all(len(row["context"]) == 8 and len(row["continuation"]) == 4 for row in rows)
        assert len({row["row_id"] for row in rows}) == len({row["sequence_id"] for row in rows}) == 15
    assert read_metadata(shards["prose-0000"])["shard"] == "prose-0000"


def test_offset_windows_lie_within_the_document(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """A window at a seeded offset must be a true span, and must not always be the head."""
    docs = {document["id"]: document["text"] for document in documents()}
    path = write(tmp_path / "all.jsonl.zst", documents())
    windows = select(path, DOMAINS, tokenizer, PLAN._replace(place="offset")).windows("prose")
    for window in windows:
        assert window.tokens == tokenizer.encode(docs[window.document_id]).ids[window.window_start :][:12]
        assert window.text.decode() in docs[window.document_id]
    assert len({window.window_start for window in windows}) > 1


def test_another_seed_draws_another_sample(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """A seed that is not in the key would make the disjoint second sample impossible."""
    path = write(tmp_path / "all.jsonl.zst", documents())
    one, two = (select(path, DOMAINS, tokenizer, PLAN._replace(seed=seed)).windows("prose") for seed in (5, 6))
    assert {w.document_id for w in one} != {w.document_id for w in two}


def test_too_few_documents_is_said_before_anything_is_written(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """A short domain must stop the study here, not leave an empty shard for GPU jobs."""
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    path = write(tmp_path / "all.jsonl.zst", documents()[:30])
    shards = {"prose-0000": tmp_path / "prose-0000.parquet"}
    with pytest.raises(ReciteError, match=r"domain prose of corpus small has only \d+ documents .* lower sampling"):
        sample(OPTIONS, [path], tmp_path / "tokenizer.json", shards)
    assert not shards["prose-0000"].exists()


def test_nothing_to_merge() -> None:
    """A corpus without files must not give an empty sample silently."""
    with pytest.raises(ReciteError, match="no files"):
        merge([])
    assert merge([Selection(3)]).windows("prose") == []


def test_equal_texts_share_their_sequence(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Rows of one text are one observation; a lost or a doubled name would make intervals too narrow or too wide."""
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    docs = [{"id": f"{copy}", "domain": "prose", "text": " ".join(WORDS[copy % 5 :])} for copy in range(15)]
    shard = tmp_path / "prose-0000.parquet"
    options = OPTIONS | {"domains": ["prose"], "shard_rows": 15}
    sample(options, [write(tmp_path / "all.jsonl.zst", docs)], tmp_path / "tokenizer.json", {"prose-0000": shard})
    rows = SAMPLES.read(shard).to_pylist()
    assert len({row["row_id"] for row in rows}) == 15
    names = {(row["sequence_id"], tuple(row["context"] + row["continuation"])) for row in rows}
    assert len(names) == len({row["sequence_id"] for row in rows}) == 5
