"""Counts by recite.stages.frequency.ngrams against brute force, on corpora of text, tokens and few letters."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from recite.errors import ReciteError
from recite.files import read_json, write_json
from recite.stages.frequency import ngrams
from recite.stages.frequency.ngrams import FILES, RECORD, Index, Span, Units, build_index, units_of

TEXTS = [
    "to be, or not to be: that is the question",
    "",
    "aaaaaaa",
    "naïve café, 数える, \U0001f980\x00 and \n\n\n a tail",
    "to be, or not to be",
]


def words(count: int, seed: int) -> list[str]:
    """Documents of few words, so that spans recur."""
    source = np.random.default_rng(seed)
    vocabulary = ["the ", "licence ", "of ", "é", "warranty\n", "x", "  ", "under "]
    return ["".join(source.choice(vocabulary, source.integers(0, 60))) for _ in range(count)]


def indexed(texts: Sequence[str], units: Units, folder: Path) -> Path:
    build_index(texts, units, folder, threads=1, gigabytes=1)
    return folder


def joined(documents: Sequence[np.ndarray]) -> np.ndarray:
    """All documents, parted by a number that is no unit."""
    return np.concatenate([np.append(document.astype(int), -1) for document in documents])


def brute_force(units: np.ndarray, span: Span) -> int:
    """Every place is tried."""
    return int((np.lib.stride_tricks.sliding_window_view(units, len(span)) == span).all(axis=1).sum())


def spans_of(documents: Sequence[np.ndarray], number: int, seed: int) -> list[Span]:
    """Random spans of the corpus, every third with one unit changed so that many of these are nowhere."""
    source = np.random.default_rng(seed)
    long = [document for document in documents if len(document)]
    found = []
    for index in range(number):
        document = long[source.integers(len(long))]
        start = source.integers(len(document))
        span = document[start : start + source.integers(1, 40)].astype(int)
        if index % 3 == 0:
            span[source.integers(len(span))] = document[source.integers(len(document))]
        found.append(tuple(span.tolist()))
    return found


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer of 400 tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(words(200, 1), trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.mark.parametrize("kind", ["bytes", "tokens", "wide"])
def test_counts_equal_brute_force(tmp_path: Path, tokenizer: Path, kind: str) -> None:
    """Prevents a count that is off by one anywhere: 5,000 random spans each of units of one, two and four bytes."""
    units = {"bytes": units_of(None), "tokens": units_of(tokenizer), "wide": wide(4)}[kind]
    texts = words(40, 2)
    documents = units.encode(texts)
    spans = spans_of(documents, 5000, 3)
    everything = joined(documents)
    expected = [brute_force(everything, span) for span in spans]
    assert Index([indexed(texts, units, tmp_path)]).counts(spans) == expected
    assert expected.count(0) > 500
    assert max(expected) > 100


def test_a_machine_without_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock leaves infini-gram out where it has no wheel; all but its counts must still run there."""
    folder = indexed(words(10, 2), units_of(None), tmp_path)
    monkeypatch.setitem(sys.modules, "infini_gram.engine", None)
    with pytest.raises(ReciteError, match=r"^infini-gram has no build for this machine .* count by `public` alone\.$"):
        Index([folder])


def test_planted_copies_by_hand(tmp_path: Path) -> None:
    """Prevents overlaps from being skipped, spans that cross documents, and text that is not ASCII from being lost."""
    units = units_of(None)
    index = Index([indexed(TEXTS, units, tmp_path)])

    def count(text: str) -> int:
        return index.counts([tuple(text.encode())])[0]

    assert [count("to be"), count("aa"), count("aaaaaaa"), count("aaaaaaaa")] == [4, 6, 1, 0]
    assert [count("数える"), count("\U0001f980\x00"), count("\n\n"), count("é")] == [1, 1, 2, 1]
    assert count("questionaaaaaaa") == 0
    assert index.counts([()]) == [sum(len(text.encode()) + 1 for text in TEXTS)]


def test_groups_count_as_one_corpus(tmp_path: Path) -> None:
    """Prevents counts from depending on the number of jobs that index a corpus."""
    units, texts = units_of(None), words(30, 5)
    spans = [*spans_of(units.encode(texts), 500, 6), ()]
    whole = Index([indexed(texts, units, tmp_path / "whole")])
    parts = [indexed(texts[start::3], units, tmp_path / f"part {start}") for start in range(3)]
    assert Index(parts).counts(spans) == whole.counts(spans)


def test_record_and_bytes(tmp_path: Path) -> None:
    """Prevents an index that differs between two builds, remains of the sorting, and a record that is wrong."""
    units = units_of(None)
    first, second = (indexed(TEXTS, units, tmp_path / name) for name in ("a folder", "b"))
    assert read_json(first / RECORD) == {"documents": 5, "units": sum(len(t.encode()) for t in TEXTS), "width": 1}
    assert sorted(path.name for path in first.iterdir()) == sorted([*FILES, RECORD])
    for name in (*FILES, RECORD):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def wide(width: int) -> Units:
    """Bytes as units of `width` bytes, all of which differ between units."""
    spread = sum(256**place for place in range(width))
    plain = units_of(None)
    return Units(
        lambda texts: [part.astype(np.uint32) * spread for part in plain.encode(texts)], plain.encode_parts, width
    )


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("texts", [["a"], TEXTS, words(300, 8)], ids=["one letter", "five", "many"])
def test_both_ways_of_sorting_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], width: int
) -> None:
    """Prevents an index whose bytes depend on the memory of the job that made it."""
    first = indexed(texts, wide(width), tmp_path / "at once")
    monkeypatch.setattr(ngrams, "LARGEST", 0)
    second = indexed(texts, wide(width), tmp_path / "in parts")
    for name in (*FILES, RECORD):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_no_documents(tmp_path: Path) -> None:
    """Prevents an empty index, in which every text would be unseen."""
    with pytest.raises(ReciteError, match="has no documents to index"):
        indexed([], units_of(None), tmp_path)
    assert not (tmp_path / RECORD).exists()


def test_sorting_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a failed sort from leaving files that pass for an index, or ending without its reason."""
    monkeypatch.setattr(ngrams.sys, "executable", "/bin/false")
    monkeypatch.setattr(ngrams, "LARGEST", 0)
    with pytest.raises(ReciteError, match=r"infini-gram could not sort .* give it more memory"):
        indexed(TEXTS, units_of(None), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".building"]


def test_files_missing(tmp_path: Path) -> None:
    """Prevents counts in a part of an index."""
    folder = indexed(TEXTS, units_of(None), tmp_path)
    (folder / "table.0").unlink()
    with pytest.raises(ReciteError, match=r"table\.0 does not exist; run the rule"):
        Index([folder])


def test_widths_differ(tmp_path: Path) -> None:
    """Prevents bytes and tokens from being counted together."""
    first, second = (indexed(TEXTS, units_of(None), tmp_path / name) for name in ("a", "b"))
    write_json(second / RECORD, {"documents": 5, "units": 9, "width": 2})
    with pytest.raises(ReciteError, match="different widths"):
        Index([first, second])


def test_width_by_vocabulary(tmp_path: Path, tokenizer: Path) -> None:
    """Prevents ids that do not fit their type: the two greatest values are the index's own."""
    assert units_of(None).width == 1
    assert units_of(tokenizer).width == 2
    for most, width in ((65533, 2), (65534, 4)):
        vocabulary = {f"w{index}": index for index in range(most + 1)}
        path = tmp_path / f"{most}.json"
        Tokenizer(models.WordLevel(vocabulary, unk_token="w0")).save(str(path))
        assert units_of(path).width == width
