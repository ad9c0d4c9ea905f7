"""The windows that are scored, against plain tokenizations of whole documents."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import zstandard
from tokenizers import Tokenizer

from recite.corpora.candidates import gather
from recite.corpora.readers import Layout
from recite.corpora.sampling import sample
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tokenization import train_tokenizer
from recite.errors import ReciteError
from recite.files import sha256_file
from recite.stages.offsets.beginnings import find_beginnings
from recite.stages.offsets.measure import counts, read_beginnings, windows
from recite.stages.offsets.rows import BEGINNINGS

WORDS = ["the", "of", "naïve", "warranty", "in", "日本語", "was", "  he", "for\n", "it", "with", "Straße", "his", "on,"]
LAYOUT = Layout("text", "id", "domain", labels={"prose": "prose"})
CONTEXT, STEPS = 6, 5
PLACES, CONTEXTS = [0, 3, 20], [2, 6, 9]
SAMPLING = {"corpus": "small", "domain": "prose", "context_tokens": CONTEXT, "continuation_tokens": STEPS}
ROWS, MOST = 24, 40
SPAN = max(PLACES) + max(CONTEXTS) + STEPS

Encode = Callable[[str], list[int]]


def documents() -> dict[str, str]:
    """Sixty documents of 8 to 60 words."""
    draw = random.Random(2)
    return {f"d{index}": " ".join(draw.choices(WORDS, k=draw.randint(8, 60))) for index in range(60)}


def byte_level(folder: Path, vocabulary: int) -> tuple[Path, Encode]:
    path = folder / f"{vocabulary}" / "tokenizer.json"
    path.parent.mkdir()
    train_tokenizer([*documents().values()], vocabulary).save(str(path))
    return path, lambda text: Tokenizer.from_file(str(path)).encode(text, add_special_tokens=False).ids


def pieces(folder: Path) -> tuple[Path, Encode]:
    """As OpenLLaMA's: a dummy space in front, bytes for what is unknown."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*documents().values()]),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=350,
        byte_fallback=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    path = folder / "tokenizer.model"
    return path, sentencepiece.SentencePieceProcessor(model_file=str(path)).encode


@pytest.fixture(scope="module", params=["byte level, 300", "byte level, 420", "pieces"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Encode]:
    """A tokenizer's file, and what its own library makes of a whole text."""
    folder = tmp_path_factory.mktemp("tokenizer")
    return pieces(folder) if request.param == "pieces" else byte_level(folder, int(request.param[-3:]))


def heads(path: Path, parts: int = 1, **draw: Any) -> list[Path]:
    """Candidates of the documents, of a corpus of so many parts."""
    lines = [json.dumps({"id": name, "domain": "prose", "text": text}) for name, text in documents().items()]
    found = []
    for part in range(parts):
        source = path.with_name(f"{path.name}-{part}.jsonl.zst")
        source.write_bytes(zstandard.compress("\n".join(lines[part::parts]).encode()))
        found.append(path.with_name(f"{path.name}-{part}.parquet"))
        options = {"seed": 5, "corpus": "small", "most": 60, "excerpt": 2000, "place": "head"} | draw
        gather(options, {source.name: source}, LAYOUT, found[-1], 1)
    return found


def drawn(folder: Path, tokenizer: Path, window: str, shards: int = 1) -> list[Path]:
    """A sample of ROWS documents, by windows at their heads or elsewhere."""
    paths = [folder / f"prose-{index:04d}.parquet" for index in range(shards)]
    options = SAMPLING | {"rows_per_domain": ROWS, "shard_rows": -(-ROWS // shards)}
    excerpt = 100 if window == "offset" else 2000
    sample(options, heads(folder / window, place=window, excerpt=excerpt), tokenizer, paths)
    return paths


def find(folder: Path, shards: list[Path], read: list[Path], tokenizer: Path, rows: int = ROWS) -> Path:
    path = folder / "beginnings.parquet"
    find_beginnings({"domain": "prose", "rows": rows, "tokens": SPAN}, shards, read, tokenizer, path)
    return path


@pytest.mark.parametrize("window", ["head", "offset"])
@pytest.mark.parametrize("excerpt", [2000, 70])
def test_windows_are_those_of_whole_documents(
    tmp_path: Path, tokenizer: tuple[Path, Encode], window: str, excerpt: int
) -> None:
    """Prevents windows that begin where the sample's does, tokens of a cut word, and documents lost without a count."""
    file, encode = tokenizer
    shards = drawn(tmp_path, file, window)
    found = read_beginnings([find(tmp_path, shards, heads(tmp_path / "read", excerpt=excerpt, most=MOST), file)])
    sampled = [row for path in shards for row in SAMPLES.read(path).to_pylist()]
    assert found.ids == [row["row_id"] for row in sampled] and len(found.ids) == ROWS
    texts = [documents()[row["document_id"]] for row in sampled]
    whole = [encode(text) for text in texts]
    assert found.whole == [len(text) <= excerpt for text in texts]
    lines = {(line["place"], line["context"]): line for line in counts(found, asked())}
    lost = 0
    for context in CONTEXTS:
        rows, places = windows(found, PLACES, context, STEPS)
        made = {
            (row_id, place): [*a, *b]
            for row_id, place, a, b in zip(
                rows.ids, places, rows.context.tolist(), rows.continuation.tolist(), strict=True
            )
        }
        assert rows.context.shape[1] == context and len(made) == len(places)
        for place in PLACES:
            end = place + context + STEPS
            long = {row["row_id"]: ids[place:end] for row, ids in zip(sampled, whole, strict=True) if len(ids) >= end}
            here = {row_id: tokens for (row_id, at), tokens in made.items() if at == place}
            assert here.items() <= long.items()
            line = lines[place, context]
            assert line["documents"] == ROWS and len(here) == ROWS - line["short"] - line["cut"]
            ended = sum(len(ids) < end and whole for ids, whole in zip(whole, found.whole, strict=True))
            assert line["short"] == ended
            lost += line["cut"]
            if excerpt == 2000:
                assert here == long and not line["cut"]
    assert lost if excerpt == 70 else not lost
    assert sum(len(ids) < SPAN for ids in whole) > 2  # there are short ones


def asked() -> dict[str, Any]:
    return {"places": PLACES, "contexts": CONTEXTS, "steps": STEPS}


def test_the_first_window_is_the_samples(tmp_path: Path, tokenizer: tuple[Path, Encode]) -> None:
    """Prevents the document's beginning from being another text than the sample's, which would compare two studies."""
    shards = drawn(tmp_path, tokenizer[0], "head")
    found = read_beginnings([find(tmp_path, shards, heads(tmp_path / "read", most=MOST), tokenizer[0])])
    rows, places = windows(found, [0], CONTEXT, STEPS)
    sampled = SAMPLES.read(shards[0])
    assert places == [0] * ROWS and rows.sequences.tolist() == sampled["sequence_id"].to_pylist()
    assert rows.context.tolist() == sampled["context"].to_pylist()
    assert rows.continuation.tolist() == sampled["continuation"].to_pylist()
    assert rows.probabilities.tolist() == sampled["inclusion_probability"].to_pylist()


def test_shards_and_parts_of_the_corpus_change_nothing(tmp_path: Path) -> None:
    """Prevents a result that depends on how files were cut; the first rows of a sample are a smaller one."""
    file, _ = byte_level(tmp_path, 300)
    one, three = tmp_path / "one", tmp_path / "three"
    one.mkdir(), three.mkdir()
    whole = find(one, drawn(one, file, "head"), heads(one / "read", most=MOST), file)
    parted = find(three, drawn(three, file, "head", shards=3), heads(three / "read", parts=4, most=MOST), file)
    assert sha256_file(whole) == sha256_file(parted)
    rows = BEGINNINGS.read(whole).to_pylist()
    few = find(three, drawn(three, file, "head", shards=3), heads(three / "read", parts=4, most=12), file, rows=6)
    fewer = BEGINNINGS.read(few).to_pylist()
    quarter = [row | {"inclusion_probability": row["inclusion_probability"] / 4} for row in rows[:6]]
    assert fewer == quarter


def test_documents_that_were_not_read(tmp_path: Path) -> None:
    """Prevents documents of the sample from being left out in silence."""
    file, _ = byte_level(tmp_path, 300)
    shards = drawn(tmp_path, file, "head")
    with pytest.raises(
        ReciteError, match=r"domain prose: \d+ of 24 sampled documents, the first of them d\d+, are not"
    ):
        find(tmp_path, shards, heads(tmp_path / "read", most=10), file)
    assert not (tmp_path / "beginnings.parquet").exists()
