"""The sampler against an exhaustive reference, and the laws that make it safe to shard."""

import hashlib
import itertools
import json
import random
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import zstandard
from scipy import stats
from tokenizers import Tokenizer

from recite.corpora.candidates import Smallest, gather
from recite.corpora.readers import Layout
from recite.corpora.sampling import sample
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tokenization import train_tokenizer
from recite.errors import ReciteError
from recite.files import hash64
from recite.tables import read_metadata

WORDS = ["the", "of", "and", "to", "in", "is", "was", "he", "for", "it", "with", "as", "his", "on", "be", "at", "by"]
DRAW = {"seed": 5, "corpus": "small", "most": 60, "excerpt": 400, "place": "head"}
LAYOUT = Layout("text", "id", "domain", labels={"prose": "prose", "lists": "lists"})
OPTIONS = {
    "corpus": "small",
    "domain": "prose",
    "context_tokens": 8,
    "continuation_tokens": 4,
    "rows_per_domain": 15,
    "shard_rows": 6,
}
Docs = list[dict[str, str]]


def documents() -> Docs:
    """Sixty documents a domain of 5 to 40 words: some too short."""
    draw = random.Random(1)
    made = []
    for index, domain in itertools.product(range(60), ["prose", "lists"]):
        text = " ".join(draw.choices(WORDS, k=draw.randint(5, 40)))
        made.append({"id": f"{domain}/{index}", "domain": domain, "text": text})
    return made


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer under which the documents have 5 to 40 tokens or so."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer([document["text"] for document in documents()], 320).save(str(path))
    return path


def candidates(path: Path, docs: Docs, **draw: Any) -> Path:
    """The candidates of a corpus of one file of these documents."""
    text = "".join(json.dumps(document) + "\n" for document in docs)
    source = path.with_suffix(".jsonl.zst")
    source.write_bytes(zstandard.compress(text.encode()))
    gather(DRAW | draw, {source.name: source}, LAYOUT, path, 1)
    return path


def drawn(folder: Path, pools: list[Path], tokenizer: Path, **options: Any) -> list[Path]:
    """The shards of a sample."""
    chosen = OPTIONS | options
    count = -(-chosen["rows_per_domain"] // chosen["shard_rows"])
    shards = [folder / f"{chosen['domain']}-{index:04d}.parquet" for index in range(count)]
    sample(chosen, pools, tokenizer, shards)
    return shards


def rows_of(shards: list[Path]) -> list[dict[str, Any]]:
    """The rows of shards, in order."""
    return [row for path in shards for row in SAMPLES.read(path).to_pylist()]


def reference_key(document: dict[str, str]) -> int:
    """The key, written out again: the first 8 bytes, little-endian, of BLAKE2b over the joined parts."""
    digest = hashlib.blake2b(f"5\x1fsmall\x1f{document['id']}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@pytest.mark.parametrize("most", [60, 40])
def test_equals_exhaustive_reference(tmp_path: Path, tokenizer: Path, most: int) -> None:
    """Neither the bound on candidates nor the end of the search may lose a document that belongs to the sample."""
    docs, encoder = documents(), Tokenizer.from_file(str(tokenizer))
    pool = candidates(tmp_path / "all.parquet", docs, most=most)
    for domain in ("prose", "lists"):
        tokens = {d["id"]: encoder.encode(d["text"]).ids for d in docs if d["domain"] == domain}
        eligible = sorted((d for d in docs if len(tokens.get(d["id"], [])) >= 12), key=reference_key)
        shards = drawn(tmp_path, [pool], tokenizer, domain=domain)
        rows = rows_of(shards)
        assert [row["document_id"] for row in rows] == [d["id"] for d in eligible[:15]]
        assert {row["inclusion_probability"] for row in rows} == {reference_key(eligible[15]) / 2**64}
        for row, document in zip(rows, eligible, strict=False):
            assert row["context"] + row["continuation"] == tokens[document["id"]][:12]
            assert document["text"].encode().startswith(row["text"]) and row["domain"] == domain
            assert encoder.decode(row["context"] + row["continuation"]) == row["text"].decode()
            assert docs[row["source_row"]] == document
        ordered = sorted((d for d in docs if d["domain"] == domain), key=reference_key)
        seen = ordered[: ordered.index(eligible[15]) + 1]
        made = read_metadata(shards[0])
        assert (made["examined"], made["short"]) == (len(seen), len(seen) - 16)
        assert made["documents"] == 60 and made["repeated"] == 0


def test_any_split_of_the_corpus_gives_the_same_shards(tmp_path: Path, tokenizer: Path) -> None:
    """Groups of files, and their order, must not change a sample."""
    docs = documents()
    whole = rows_of(drawn(tmp_path, [candidates(tmp_path / "all.parquet", docs, most=30)], tokenizer))
    pieces = [docs[:20], docs[20:21], docs[21:]]
    pools = [candidates(tmp_path / f"{i}.parquet", piece, most=30) for i, piece in enumerate(pieces)]
    for order in (pools, pools[::-1]):
        rows = rows_of(drawn(tmp_path, order, tokenizer))
        assert [row | {"source_file": "", "source_row": 0} for row in rows] == [
            row | {"source_file": "", "source_row": 0} for row in whole
        ]


def test_shards_hold_the_sample_in_order(tmp_path: Path, tokenizer: Path) -> None:
    """Shards must be whole: no row lost, none twice, the last one shorter."""
    shards = drawn(tmp_path, [candidates(tmp_path / "all.parquet", documents())], tokenizer)
    assert [len(SAMPLES.read(path)) for path in shards] == [6, 6, 3]
    rows = rows_of(shards)
    assert all(len(row["context"]) == 8 and len(row["continuation"]) == 4 for row in rows)
    assert len({row["row_id"] for row in rows}) == len({row["sequence_id"] for row in rows}) == 15
    assert [read_metadata(path)["shard"] for path in shards] == ["prose-0000", "prose-0001", "prose-0002"]


def test_more_rows_leave_the_earlier_ones(tmp_path: Path, tokenizer: Path) -> None:
    """The next rows by key are a second sample that is disjoint from the first."""
    pool = candidates(tmp_path / "all.parquet", documents())
    few = rows_of(drawn(tmp_path, [pool], tokenizer))
    more = rows_of(drawn(tmp_path, [pool], tokenizer, rows_per_domain=30))
    assert [row["row_id"] for row in more[:15]] == [row["row_id"] for row in few]
    assert len({row["document_id"] for row in more}) == 30


def test_offset_windows_lie_within_the_document(tmp_path: Path, tokenizer: Path) -> None:
    """A window at a seeded offset must be a true span of its document, cut into the tokens of that place."""
    docs, encoder = {d["id"]: d["text"] for d in documents()}, Tokenizer.from_file(str(tokenizer))
    pool = candidates(tmp_path / "all.parquet", documents(), place="offset", excerpt=60)
    rows = rows_of(drawn(tmp_path, [pool], tokenizer))
    for row in rows:
        rest = docs[row["document_id"]][row["window_start"] :]
        assert rest.encode().startswith(row["text"])
        assert row["context"] + row["continuation"] == encoder.encode(rest).ids[:12]
    assert len({row["window_start"] for row in rows}) > 3


def test_a_token_that_the_excerpt_cuts_is_not_taken(tmp_path: Path, tokenizer: Path) -> None:
    """The last token of an excerpt that was cut off may be half of another."""
    encoder = Tokenizer.from_file(str(tokenizer))
    docs = documents()
    pool = candidates(tmp_path / "all.parquet", docs, excerpt=56)
    texts = {d["id"]: d["text"] for d in docs}
    for row in rows_of(drawn(tmp_path, [pool], tokenizer, rows_per_domain=6)):
        assert row["context"] + row["continuation"] == encoder.encode(texts[row["document_id"]]).ids[:12]


def test_the_last_token_of_an_excerpt_without_a_space_is_not_taken(tmp_path: Path, tokenizer: Path) -> None:
    """Where an excerpt ends within a word, its last token may be the head of a longer one: here each is a digit."""
    docs = [document | {"text": "7" * 30} for document in documents()]
    for excerpt in (12, 13):
        pool = candidates(tmp_path / f"{excerpt}.parquet", docs, excerpt=excerpt)
        with (
            nullcontext()
            if excerpt > 12
            else pytest.raises(ReciteError, match="only 0 of 60 candidates have 12 tokens")
        ):
            drawn(tmp_path, [pool], tokenizer)


def test_another_seed_draws_another_sample(tmp_path: Path, tokenizer: Path) -> None:
    """A seed that is not in the key would make every study's sample the same."""
    pools = [candidates(tmp_path / f"{seed}.parquet", documents(), seed=seed) for seed in (5, 6)]
    one, two = ({row["document_id"] for row in rows_of(drawn(tmp_path, [pool], tokenizer))} for pool in pools)
    assert one != two


def test_too_few_documents_is_said_before_anything_is_written(tmp_path: Path, tokenizer: Path) -> None:
    """A short domain must stop the study here, not leave an empty shard for GPU jobs."""
    pool = candidates(tmp_path / "all.parquet", documents()[:30])
    with pytest.raises(ReciteError, match=r"domain prose of corpus small has only \d+ documents .* lower sampling"):
        drawn(tmp_path, [pool], tokenizer)
    pool = candidates(tmp_path / "cut.parquet", documents(), most=16)
    with pytest.raises(
        ReciteError, match=r"prose .*only \d+ of 16 candidates .* 16 are needed; raise sampling\.candid"
    ):
        drawn(tmp_path, [pool], tokenizer)
    assert not list(tmp_path.glob("prose-*"))


@pytest.mark.parametrize("most", [60, 400])
def test_identifiers_that_begin_anew_in_each_file(tmp_path: Path, tokenizer: Path, most: int) -> None:
    """Prevents advice that cannot help: more candidates are of the same few identifiers; without `id` all are found."""
    docs = [document for document in documents() if document["domain"] == "prose" and len(document["text"]) > 60]
    files = [[document | {"id": str(row)} for row, document in enumerate(docs[at::10])] for at in range(10)]
    paths = {}
    for number, piece in enumerate(files):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(json.dumps(document) + "\n" for document in piece))
        paths[path.name] = path
    distinct = max(map(len, files))
    gather(DRAW | {"most": most}, paths, LAYOUT, tmp_path / "numbered.parquet", 1)
    with pytest.raises(ReciteError) as error:
        drawn(tmp_path, [tmp_path / "numbered.parquet"], tokenizer)
    said = str(error.value)
    if most == 400:
        assert f"prose of corpus small: {len(docs) - distinct} of {len(docs)} documents bear the identifier" in said
    assert "leave out `id` in the corpus's `files` entry" in said and "candidates_per_row" not in said
    gather(DRAW | {"most": most}, paths, LAYOUT._replace(id=None), tmp_path / "placed.parquet", 1)
    assert len(rows_of(drawn(tmp_path, [tmp_path / "placed.parquet"], tokenizer))) == 15


def test_a_few_repeated_identifiers_are_not_the_cause(tmp_path: Path, tokenizer: Path) -> None:
    """Prevents the advice where documents are short or few, and only some of them stand twice."""
    docs = documents()[:20]
    pool = candidates(tmp_path / "all.parquet", docs + docs[:2])
    with pytest.raises(ReciteError, match=r"only \d+ documents .* \(1 more bear .* lower sampling.rows_per_domain"):
        drawn(tmp_path, [pool], tokenizer)


def test_all_documents_are_certain(tmp_path: Path, tokenizer: Path) -> None:
    """Where every eligible document is drawn, the inclusion probability is 1."""
    docs = [d for d in documents() if d["domain"] == "prose" and len(d["text"].split()) > 20][:15]
    rows = rows_of(drawn(tmp_path, [candidates(tmp_path / "all.parquet", docs)], tokenizer))
    assert {row["inclusion_probability"] for row in rows} == {1.0}


def test_a_document_that_stands_twice_is_drawn_once(tmp_path: Path, tokenizer: Path) -> None:
    """Two documents of one identifier have one key: both or none would be drawn, as one row."""
    docs = documents()
    rows = rows_of(drawn(tmp_path, [candidates(tmp_path / "all.parquet", docs)], tokenizer))
    doubled = candidates(tmp_path / "doubled.parquet", docs + docs, most=120)
    shards = drawn(tmp_path, [doubled], tokenizer)
    assert [row["document_id"] for row in rows_of(shards)] == [row["document_id"] for row in rows]
    assert read_metadata(shards[0])["repeated"] == 60


def test_equal_texts_share_their_sequence(tmp_path: Path, tokenizer: Path) -> None:
    """Rows of one text are one observation; a lost or a doubled name would make intervals too narrow or too wide."""
    docs = [{"id": f"{copy}", "domain": "prose", "text": " ".join(WORDS[copy % 5 :])} for copy in range(15)]
    rows = rows_of(drawn(tmp_path, [candidates(tmp_path / "all.parquet", docs)], tokenizer, shard_rows=15))
    assert len({row["row_id"] for row in rows}) == 15
    names = {(row["sequence_id"], tuple(row["context"] + row["continuation"])) for row in rows}
    assert len(names) == len({row["sequence_id"] for row in rows}) == 5


def test_every_document_is_as_likely_as_every_other() -> None:
    """Over 1,000 seeds, documents are drawn equally often, and the inclusion probability tells how many there are."""
    names, n, seeds = [f"document {index}" for index in range(100)], 30, range(1000)
    chosen: Counter[str] = Counter()
    estimates = []
    for seed in seeds:
        keys = {hash64(seed, "small", name): name for name in names}
        smallest = Smallest(n + 1)
        kept = [key for key in keys if smallest.take("prose", key)]
        bound = smallest.settled()["prose"]
        chosen.update(keys[key] for key in kept if key < bound)
        estimates.append(n / (bound / 2**64))
    assert sum(chosen.values()) == n * len(seeds)
    # Draws without replacement vary less than the statistic supposes, by (N - n) / (N - 1).
    statistic = stats.chisquare([chosen[name] for name in names]).statistic / (70 / 99)
    assert 0.001 < stats.chi2.sf(statistic, 99) < 0.999
    assert sum(estimates) / len(estimates) == pytest.approx(100, rel=0.01)
