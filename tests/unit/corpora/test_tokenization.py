"""recite.corpora.tokenization: lossless tokenizers, and rows that are exactly the heads of long enough documents."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tokenizers import Tokenizer

from recite.corpora.special_tokens import BOS_ID, END_OF_TEXT
from recite.corpora.tables.training import TRAINING_ROWS
from recite.corpora.tokenization import tokenize_corpus, train_tokenizer
from recite.errors import ReciteError
from recite.files import sha256_file
from recite.tables import read_metadata

WORDS = ["the", "licence", "of", "software", "def", "return", "import", "warranty", "value", "self"]
ROW_TOKENS = 16
VOCABULARY = 300
TEXTS = [" ".join(random.Random(seed).choices(WORDS, k=5 + 3 * seed)) + "\n" for seed in range(14)]
ODD = [
    "",
    " ",
    "\n\t x\r\n",
    "naïve Straße",
    "日本語",
    "👩‍🔬🏳️‍🌈",
    "\0nul\0",
    "\u2028\ufeff\ufffd",
    "a" * 300,
    "  two  spaces ",
]


class Made:
    """One run of tokenize_corpus on documents split into two files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.documents = [folder / "one.jsonl.zst", folder / "two.jsonl.zst"]
        for path, part in zip(self.documents, (range(9), range(9, len(TEXTS))), strict=True):
            lines = [json.dumps({"id": f"d{index}", "domain": "x", "text": TEXTS[index]}) for index in part]
            path.write_bytes(zstandard.compress("\n".join(lines).encode()))
        self.tokenizer, self.config = folder / "tokenizer.json", folder / "tokenizer_config.json"
        self.rows = folder / "rows.parquet"
        options: dict[str, Any] = {"row_tokens": ROW_TOKENS, "vocabulary": VOCABULARY}
        tokenize_corpus(options, self.documents, self.tokenizer, self.config, self.rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("tokenization"))


@pytest.mark.parametrize("text", [*ODD, *TEXTS[:2], f"before {END_OF_TEXT} after"])
def test_any_text_decodes_to_itself(made: Made, text: str) -> None:
    """Prevents text that training has not seen from being lost or changed."""
    tokenizer = Tokenizer.from_file(str(made.tokenizer))
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_random_unicode_decodes_to_itself(made: Made) -> None:
    """Prevents bytes that the alphabet lacks from being dropped."""
    source = random.Random(1)
    tokenizer = Tokenizer.from_file(str(made.tokenizer))
    for _ in range(200):
        points = [source.choice([source.randrange(0xD800), source.randrange(0xE000, 0x110000)]) for _ in range(20)]
        text = "".join(map(chr, points))
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_vocabulary_and_special_token(made: Made) -> None:
    """Prevents a vocabulary of another size than the models', and a BOS id that is another token."""
    tokenizer = Tokenizer.from_file(str(made.tokenizer))
    assert tokenizer.get_vocab_size() == VOCABULARY
    assert tokenizer.token_to_id(END_OF_TEXT) == BOS_ID == 0


def test_no_token_is_added_to_a_text(made: Made) -> None:
    """Prevents a begin-of-sequence token from entering the rows unasked."""
    ids = Tokenizer.from_file(str(made.tokenizer)).encode(TEXTS[3]).ids
    assert BOS_ID not in ids


def test_rows_are_the_heads_of_long_documents(made: Made) -> None:
    """Prevents rows of another length, offset or document, and short documents from being padded."""
    tokenizer = Tokenizer.from_file(str(made.tokenizer))
    expected = {}
    for index, text in enumerate(TEXTS):
        ids = tokenizer.encode(text).ids
        if len(ids) >= ROW_TOKENS:
            expected[f"d{index}"] = ids[:ROW_TOKENS]
    rows = TRAINING_ROWS.read(made.rows).to_pydict()
    assert 0 < len(expected) < len(TEXTS)
    assert dict(zip(rows["document_id"], rows["tokens"], strict=True)) == expected
    assert rows["document_id"] == list(expected)
    for document_id, tokens in expected.items():
        assert TEXTS[int(document_id[1:])].startswith(tokenizer.decode(tokens))
    assert read_metadata(made.rows)["too_short"] == len(TEXTS) - len(expected)


def test_a_document_of_exactly_one_row_is_kept(tmp_path: Path) -> None:
    """Prevents an off-by-one at the shortest usable document."""
    documents = tmp_path / "x.jsonl.zst"
    lines = [json.dumps({"id": str(n), "domain": "x", "text": "\x01" * n}) for n in (7, 8, 9)]
    documents.write_bytes(zstandard.compress("\n".join(lines).encode()))
    options = {"row_tokens": 8, "vocabulary": 257}  # the bytes and the special token: no merges
    tokenize_corpus(options, [documents], tmp_path / "t.json", tmp_path / "c.json", tmp_path / "rows")
    assert TRAINING_ROWS.read(tmp_path / "rows")["document_id"].to_pylist() == ["8", "9"]


def test_whole_documents(tmp_path: Path) -> None:
    """Prevents a document that is sampled anywhere from being cut, or left out where it is short."""
    documents = tmp_path / "x.jsonl.zst"
    lines = [json.dumps({"id": f"d{n}", "domain": "x", "text": "\x01" * n}) for n in (7, 9, 8)]
    documents.write_bytes(zstandard.compress("\n".join(lines).encode()))
    made = [tmp_path / name for name in ("t.json", "c.json", "rows")]
    options = {"row_tokens": 9, "vocabulary": 257, "whole": True}
    tokenize_corpus(options, [documents], *made)
    rows = TRAINING_ROWS.read(made[-1]).to_pydict()
    assert dict(zip(rows["document_id"], map(len, rows["tokens"]), strict=True)) == {"d7": 7, "d9": 9, "d8": 8}
    assert read_metadata(made[-1])["too_short"] == 0
    with pytest.raises(ReciteError, match=r"document d9 has 9 tokens, training\.row_tokens is 8: .* to 9, or"):
        tokenize_corpus(options | {"row_tokens": 8}, [documents], *made[:2], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_metadata_names_the_inputs(made: Made) -> None:
    """Prevents rows from being traced to another tokenizer or corpus than they were made of."""
    metadata = read_metadata(made.rows)
    assert metadata["tokenizer_sha256"] == sha256_file(made.tokenizer)
    assert metadata["documents_sha256"] == {path.name: sha256_file(path) for path in made.documents}


def test_two_runs_give_the_same_bytes(made: Made, tmp_path: Path) -> None:
    """Prevents ties between merges from being broken by chance, which would change every model."""
    again = Made(tmp_path / "again")
    assert made.tokenizer.read_bytes() == again.tokenizer.read_bytes()
    assert made.config.read_bytes() == again.config.read_bytes()
    assert made.rows.read_bytes() == again.rows.read_bytes()


def test_training_learns_merges() -> None:
    """Prevents a tokenizer that leaves every text in bytes."""
    tokenizer = train_tokenizer(["warranty " * 50], 300)
    assert len(tokenizer.encode(" warranty").ids) == 1
