"""recite.stages.frequency.measure on a corpus whose counts are known by search through its text."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from counts_server import CountsServer
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tokenizer import load_tokenizer
from recite.errors import ReciteError
from recite.files import sha256_file
from recite.stages.frequency.countings import read_frequencies
from recite.stages.frequency.measure import count_rows, frequency_columns, row_spans
from recite.stages.frequency.ngrams import Index, Span, build_index, units_of
from recite.stages.frequency.rows import FREQUENCIES
from recite.tables import read_metadata

LICENCE = "provided as is, without warranty of any kind, naïve or implied; "
CORPUS = [
    LICENCE * 2 + "signed by the café",
    "a preface of its own. " + LICENCE + LICENCE[:30] + "but here the text goes on otherwise",
    "free prose that is nowhere else, and long enough to be a row of its own",
]
CONTEXT = 6
TOKENS = 10


def trained(folder: Path, size: int, texts: Sequence[str]) -> Path:
    """A byte-level tokenizer of `size` tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet))
    made.save(str(folder / f"{size}.json"))
    return folder / f"{size}.json"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return trained(tmp_path, 290, CORPUS)


def rows(tokenizer: Path) -> list[dict[str, Any]]:
    """The first window of each document, and one more of the licence in another domain."""
    encoder = load_tokenizer(tokenizer)
    made = []
    for number, (domain, text) in enumerate([*zip("abb", CORPUS, strict=True), ("a", LICENCE)]):
        ((ids, ends),) = encoder.encode([text])
        made.append(
            {
                "row_id": 10 + number,
                "sequence_id": 1 if text.startswith(LICENCE) else 10 + number,
                "domain": domain,
                "text": text[: ends[TOKENS - 1]].encode(),
                "context_bytes": len(text[: ends[CONTEXT - 1]].encode()),
                "context": ids[:CONTEXT],
                "continuation": ids[CONTEXT:TOKENS],
            }
        )
    return made


def write(path: Path, lines: Sequence[dict[str, Any]]) -> Path:
    columns = {name: [line[name] for line in lines] for name in lines[0]}
    number = len(lines)
    columns |= {"document_id": ["d"] * number, "source_file": ["f"] * number, "source_row": [0] * number}
    columns |= {"window_start": [0] * number, "inclusion_probability": [1.0] * number}
    SAMPLES.write(path, columns, {})
    return path


def occurrences(text: str) -> int:
    """Places of the corpus at which a text stands."""
    return sum(document.startswith(text, place) for document in CORPUS for place in range(len(document)))


def options(by: str = "bytes", most: int | None = None, **more: Any) -> dict[str, Any]:
    return {"family": "pythia", "counting": by, "by": by, "rows_per_domain": most, **more}


def counted(folder: Path, made: dict[str, Any], shards: Sequence[Path], tokenizer: Path | None) -> pd.DataFrame:
    """Index the corpus by the tokenizer, count and read."""
    build_index(CORPUS, units_of(tokenizer), folder / "index", threads=1, gigabytes=1)
    count_rows(made, shards, [folder / "index"], tokenizer, folder / "cache", folder / "made")
    return FREQUENCIES.read(folder / "made").to_pandas()


def test_bytes_are_occurrences_of_the_text(tmp_path: Path, own: Path) -> None:
    """Prevents a text cut at another place than the tokens are, and a count that is not of the text."""
    lines = rows(own)
    found = counted(tmp_path, options(), [write(tmp_path / "a", lines)], None)
    for line, row in zip(lines, found.itertuples(), strict=True):
        text, end = line["text"], line["context_bytes"]
        assert (row.row_id, row.sequence_id, row.domain) == (line["row_id"], line["sequence_id"], line["domain"])
        parts = [part.decode() for part in (text, text[:end], text[end:])]
        assert [row.sequence, row.context, row.continuation] == [occurrences(part) for part in parts]
    assert found["sequence"].tolist() == [3, 1, 1, 3]
    made = read_metadata(tmp_path / "made")
    assert (made["corpus_units"], made["too_long"]) == (sum(len(text.encode()) + 1 for text in CORPUS), 0)


def test_own_tokens_are_those_of_the_row(tmp_path: Path, own: Path) -> None:
    """Prevents the row from being cut anew, where a word at its end would be cut in another way."""
    lines = rows(own)
    build_index(CORPUS, units_of(own), tmp_path / "index", threads=1, gigabytes=1)
    count_rows(options("own"), [write(tmp_path / "a", lines)], [tmp_path / "index"], None, tmp_path, tmp_path / "made")
    found = FREQUENCIES.read(tmp_path / "made").to_pandas()
    documents = [ids for ids, _ in load_tokenizer(own).encode(CORPUS)]
    for line, row in zip(lines, found.itertuples(), strict=True):
        for name, span in zip(
            ("sequence", "context", "continuation"),
            ([*line["context"], *line["continuation"]], line["context"], line["continuation"]),
            strict=True,
        ):
            places = [ids[start : start + len(span)] == span for ids in documents for start in range(len(ids))]
            assert getattr(row, name) == sum(places)
    assert found["sequence"].min() >= 1


def test_other_tokens_are_the_text_cut_by_itself(tmp_path: Path, own: Path) -> None:
    """Prevents the detour's error from being hidden: each part is cut alone, and the corpus as a whole."""
    other = trained(tmp_path, 400, [*CORPUS, "of any kind, naïve of any kind"])
    lines = rows(own)
    found = counted(tmp_path, options("other"), [write(tmp_path / "a", lines)], other)
    encoder = load_tokenizer(other)
    documents = [ids for ids, _ in encoder.encode(CORPUS)]
    for line, row in zip(lines, found.itertuples(), strict=True):
        text, end = line["text"], line["context_bytes"]
        for name, part in (("sequence", text), ("context", text[:end]), ("continuation", text[end:])):
            ((span, _),) = encoder.encode([part.decode()])
            places = [ids[start : start + len(span)] == span for ids in documents for start in range(len(ids))]
            assert getattr(row, name) == sum(places)
    assert found["continuation"].tolist() != [
        occurrences(line["text"][line["context_bytes"] :].decode()) for line in lines
    ]


def test_first_rows_of_every_domain(tmp_path: Path, own: Path) -> None:
    """Prevents the cap from being taken per shard, or from leaving rows that do not come first."""
    lines = rows(own)
    shards = [write(tmp_path / "a", lines[:2]), write(tmp_path / "b", lines[2:])]
    assert counted(tmp_path, options(most=1), shards, None)["row_id"].tolist() == [10, 11]
    assert counted(tmp_path, options(most=9), shards, None)["row_id"].tolist() == [10, 11, 12, 13]


def test_public_index(tmp_path: Path, own: Path) -> None:
    """Prevents counts by the API from differing from a local index of the same tokens, or asking again when rerun."""
    other = trained(tmp_path, 400, CORPUS)
    lines = rows(own)
    shard = write(tmp_path / "a", lines)
    local = counted(tmp_path, options("other"), [shard], other)
    server = CountsServer({"v4_texts": Index([tmp_path / "index"])})
    public = {"endpoint": server.address, "connections": 2, "requests_per_second": 10_000, "tokenizer": "there"}
    made = options("public", index="v4_texts", tokenizer="texts-400", public=public)
    for output in ("first", "second"):
        count_rows(made, [shard], [], other, tmp_path / "cache.jsonl", tmp_path / output)
        pd.testing.assert_frame_equal(FREQUENCIES.read(tmp_path / output).to_pandas(), local)
    server.close()
    assert len(server.asked) == len(set(server.asked))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    told = read_metadata(tmp_path / "first")
    assert "public" not in told["options"]
    assert told["options"]["tokenizer"] == "texts-400" and told["tokenizer_sha256"] == sha256_file(other)
    found = read_frequencies([tmp_path / "first"], ["public"])
    assert found["pythia"]["public"].tokens == "texts-400"


def test_rows_longer_than_the_api_takes(tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents one long row from ending the stage, and rows that vanish without a number."""
    lines = rows(own)
    lengths = [len(span.sequence) for span in row_spans(SAMPLES.read(write(tmp_path / "a", lines)), units_of(None))]
    most = sorted(set(lengths))[-2]
    monkeypatch.setattr("recite.stages.frequency.measure.LONGEST_SPAN", most)
    build_index(CORPUS, units_of(None), tmp_path / "index", threads=1, gigabytes=1)
    server = CountsServer({"v4_texts": Index([tmp_path / "index"])})
    public = {"endpoint": server.address, "connections": 1, "requests_per_second": 10_000}
    made = options("public", index="v4_texts", public=public)
    count_rows(made, [tmp_path / "a"], [], None, tmp_path / "cache", tmp_path / "made")
    server.close()
    kept = [line["row_id"] for line, length in zip(lines, lengths, strict=True) if length <= most]
    assert FREQUENCIES.read(tmp_path / "made")["row_id"].to_pylist() == kept
    assert read_metadata(tmp_path / "made")["too_long"] == len(lines) - len(kept) > 0


class Letters:
    """Counts by hand: the unit u occurs u times, any longer span twice, and there are 20 units."""

    def __init__(self, total: int = 20) -> None:
        self.asked: list[Span] = []
        self.total = total

    def counts(self, spans: Sequence[Span]) -> list[int]:
        self.asked += spans
        return [(self.total, *span[:1], *[2] * len(span))[min(len(span), 2)] for span in spans]


def test_mean_frequency_of_tokens() -> None:
    """Prevents a mean over distinct tokens, or over the context alone; and a span that is counted twice."""
    spans = row_spans(pa.table({"context": [[1, 1], [2, 4]], "continuation": [[3, 5], [3, 5]]}), None)
    counter = Letters()
    found = frequency_columns(spans, counter)
    assert found["token_frequency"] == pytest.approx([np.mean([1, 1, 3, 5]) / 20, np.mean([2, 4, 3, 5]) / 20])
    assert found["sequence"] == found["context"] == found["continuation"] == [2, 2]
    assert len(counter.asked) == len(set(counter.asked))


def test_empty_index() -> None:
    """Prevents a division by zero."""
    with pytest.raises(ReciteError, match="holds nothing to count in"):
        frequency_columns([], Letters(total=0))


def test_options_do_not_hold_the_address(tmp_path: Path, own: Path) -> None:
    """Prevents two runs through different addresses of one API from differing in bytes."""
    shard = write(tmp_path / "a", rows(own))
    counted(tmp_path, options("bytes", public={"endpoint": "http://somewhere"}), [shard], None)
    assert "somewhere" not in json.dumps(read_metadata(tmp_path / "made"))
