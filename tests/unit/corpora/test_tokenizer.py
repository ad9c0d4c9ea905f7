"""Tokenizer files: both kinds give their library's plain tokens, and the character at which each of them ends."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
import sentencepiece
from tokenizers import Tokenizer, processors

from recite.corpora.special_tokens import END_OF_TEXT
from recite.corpora.tokenization import train_tokenizer
from recite.corpora.tokenizer import load_tokenizer
from recite.errors import ReciteError

TRAINING = [
    "The quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    "def answer(question):\n    return 42  # naïve, but it works",
    "Straße, café, señor, Ωmega and 日本語 in one line of text.",
    "the warranty of the software is the warranty of the author",
] * 8
TEXTS = [
    *TRAINING[:4],
    "",
    " ",
    "  two  spaces\t\n",
    "日本語 👩‍🔬 naïve\u0301",
    "unseen: ЖЖ ™ \U0001f3f4",
    "a" * 90,
    "\u2028x\ufeff",
]
REPLACEMENT = "\ufffd"


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    """A byte-level BPE, as families trained here have it."""
    return train_tokenizer(TRAINING, 350)


@pytest.fixture(scope="module")
def json_file(trained: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It as tokenizer.json."""
    path = tmp_path_factory.mktemp("json") / "tokenizer.json"
    trained.save(str(path))
    return path


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece BPE with byte fallback and a dummy space in front, as OpenLLaMA has it."""
    folder = tmp_path_factory.mktemp("sentencepiece")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TRAINING),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=420,
        byte_fallback=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    return folder / "tokenizer.model"


def assert_ends(text: str, ids: Sequence[int], ends: Sequence[int], decoded: Sequence[str]) -> None:
    """The text up to the end of the n-th token is what the first n tokens decode to.

    Where a token ends within a character, the character may count as there already, or not yet.
    """
    assert len(ends) == len(ids) == len(decoded)
    assert list(ends) == sorted(ends) and all(0 <= end <= len(text) for end in ends)
    for end, prefix in zip(ends, decoded, strict=True):
        whole = prefix.rstrip(REPLACEMENT)
        if whole == prefix:
            assert text[:end] == prefix
        else:
            assert text[:end].startswith(whole) and end - len(whole) in (0, 1)
    if len(ends):
        assert ends[-1] == len(text)


@pytest.mark.parametrize("text", TEXTS)
def test_ends_of_a_tokenizer_json(json_file: Path, trained: Tokenizer, text: str) -> None:
    """Ends in bytes or in tokens would store a row's text cut in the wrong place, one accent before it is enough."""
    [(ids, ends)] = load_tokenizer(json_file).encode([text])
    assert ids == trained.encode(text).ids
    assert_ends(text, ids, ends, [trained.decode(ids[: n + 1], skip_special_tokens=False) for n in range(len(ids))])


@pytest.mark.parametrize("text", TEXTS)
def test_ends_of_a_sentencepiece_model(model_file: Path, text: str) -> None:
    """The same, with bytes for unknown characters, of which only the last one ends the character."""
    plain = sentencepiece.SentencePieceProcessor(model_file=str(model_file))
    [(ids, ends)] = load_tokenizer(model_file).encode([text])
    assert ids == plain.encode(text)
    assert_ends(text, ids, ends, [plain.decode(ids[: n + 1]) for n in range(len(ids))])


def test_no_special_token_is_added(json_file: Path, tmp_path: Path) -> None:
    """Files of other makers add begin and end of text to every encoding; a row must not hold them unasked."""
    tokenizer = Tokenizer.from_file(str(json_file))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END_OF_TEXT} $A {END_OF_TEXT}", special_tokens=[(END_OF_TEXT, 0)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("the dog").ids[0] == 0
    assert load_tokenizer(tmp_path / "tokenizer.json").encode(TRAINING[:4]) == load_tokenizer(json_file).encode(
        TRAINING[:4]
    )


def test_saved_truncation_and_padding_are_off(json_file: Path, tmp_path: Path) -> None:
    """Files that were saved after training may cut texts, or fill them up to the longest of the batch."""
    tokenizer = Tokenizer.from_file(str(json_file))
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path / "tokenizer.json").encode(TEXTS) == load_tokenizer(json_file).encode(TEXTS)


@pytest.mark.parametrize("kind", ["json_file", "model_file"])
def test_a_batch_is_its_texts_one_by_one(kind: str, request: pytest.FixtureRequest) -> None:
    """A text's tokens must not depend on what stands beside it, nor the order of the answers."""
    encoder = load_tokenizer(request.getfixturevalue(kind))
    assert encoder.encode(TEXTS) == [encoder.encode([text])[0] for text in TEXTS]
    assert encoder.encode([]) == []


def test_vocabulary(json_file: Path, model_file: Path) -> None:
    """Special tokens are part of it: families are told apart by it, and models are made as large."""
    found = load_tokenizer(json_file).vocabulary
    assert sorted(found.values()) == list(range(350)) and found[END_OF_TEXT] == 0
    found = load_tokenizer(model_file).vocabulary
    assert sorted(found.values()) == list(range(420))
    assert (found["<unk>"], found["<s>"], found["</s>"], found["<0x00>"]) == (0, 1, 2, 3)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model"])
@pytest.mark.parametrize("content", [None, b"", b'{"version": "1.0", ', b"\xff" * 40, "half"])
def test_broken_tokenizer(
    name: str, content: bytes | str | None, tmp_path: Path, json_file: Path, model_file: Path
) -> None:
    """Prevents a traceback, or a crash of the whole process, for a missing or truncated file."""
    path = tmp_path / name
    if isinstance(content, str):
        whole = (json_file if name.endswith("json") else model_file).read_bytes()
        content = whole[: len(whole) // 2]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ReciteError, match=rf"{name} is not a readable tokenizer \(.+\); make or fetch it") as refusal:
        load_tokenizer(path)
    assert "\n" not in str(refusal.value)


def test_folder_in_place_of_a_tokenizer(tmp_path: Path) -> None:
    """A folder that is named as one ends in the same sentence."""
    with pytest.raises(ReciteError, match="is not a readable tokenizer"):
        load_tokenizer(tmp_path)


def test_ends_are_of_the_text_before_normalization(tmp_path: Path) -> None:
    """A model that joins spaces and replaces ligatures must not tell places in the text that it made of it."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TRAINING), model_prefix=str(tmp_path / "tokenizer"), vocab_size=60, minloglevel=2
    )
    plain = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    text = "The  oﬃce   of the dog ﬁnally   works"
    [(ids, ends)] = load_tokenizer(tmp_path / "tokenizer.model").encode([text])
    assert ids == plain.encode(text) and ends[-1] == len(text)
    whole = unicodedata.normalize("NFKC", text)
    assert len(whole) > len(text)
    assert any(" ".join(text[:end].split()) == "The oﬃce of the dog" for end in ends)
