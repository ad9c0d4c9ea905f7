"""Tokenizers of GGUF files: tokens and their ends are those of the tokenizer that the file was made from."""

from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from gguf import GGMLQuantizationType
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from gguf_files import small_llama, write_gguf
from gguf_tokenizers import byte_level_keys, sentencepiece_keys
from recite.corpora.family_tokenizer import copy_tokenizer
from recite.corpora.gguf_tokenizer import CUTTINGS
from recite.corpora.tokenizer import added_tokens, load_tokenizer
from recite.errors import ReciteError

TRAINING = [
    "The quick brown fox jumps over the lazy dog, and the dog's asleep.\n\n1. Definitions\n\n   2. Terms of 1984",
    "def answer(question):\n    return 42 ** 2  # naïve, but it works\n\n\nprint(answer('x' * 10))",
    "Straße, café, señor, Ωmega and 日本語 in one line of text.\r\n\tTABS\t\tand  CamelCaseNames",
    "the warranty of the software is the warranty of the author, 12345 67890 times",
] * 8
TEXTS = [
    *TRAINING[:4],
    "",
    " ",
    "  two  spaces\t\n",
    "日本語 👩‍🔬 nai\u0308ve Å e\u0301",
    "unseen: ЖЖ ™ \U0001f3f4 ½ ٣ Ⅷ",
    "\n\n1.\n\n\n  22\n 333 4444",
    "<|endoftext|>after <|end<think>it</think>",
    "a" * 90,
    "IT'S they'LL we're \u2028x\ufeff \u00a0\u3000",
]
LLAMA3 = CUTTINGS["llama-bpe"].expressions[0]


def trained(*steps: Any, whole: bool = False, nfc: bool = False) -> Tokenizer:
    """A byte-level BPE that cuts text by some steps, with a special token and two of its own that are matched whole."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole))
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    tokenizer.add_tokens(["<think>", "</think>"])
    return tokenizer


def plain(use_regex: bool = True) -> Any:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


ORIGINALS = {
    "gpt-2": lambda: trained(plain()),
    "smollm": lambda: trained(pre_tokenizers.Digits(individual_digits=True), plain()),
    "olmo": lambda: trained(plain(), nfc=True),
    "llama-bpe": lambda: trained(pre_tokenizers.Split(Regex(LLAMA3), "isolated"), plain(False), whole=True),
    "qwen2": lambda: trained(
        pre_tokenizers.Split(Regex(LLAMA3.replace("{1,3}", "")), "isolated"), plain(False), nfc=True
    ),
}
"""Names of ways to cut -> a tokenizer as the families that are named so publish it."""


def packed(path: Path, keys: dict[str, Any]) -> Path:
    write_gguf(path, small_llama(), GGMLQuantizationType.F32, keys=keys)
    return path


@pytest.mark.parametrize("pre", ORIGINALS)
def test_byte_level(tmp_path: Path, pre: str) -> None:
    """A tokenizer that cuts otherwise gives tokens that look right: SmolLM's digits stand alone, before them is cut."""
    original = ORIGINALS[pre]()
    file = packed(tmp_path / "mine.gguf", byte_level_keys(original, pre))
    made = load_tokenizer(file)
    expected = original.encode_batch(TEXTS, add_special_tokens=False)
    assert made.encode(TEXTS) == [(one.ids, [end for _, end in one.offsets]) for one in expected]
    assert made.vocabulary == original.get_vocab() and made.stand_in == ""
    assert added_tokens(file) == set(original.get_added_tokens_decoder())


def test_as_a_file(tmp_path: Path) -> None:
    """What is put into the study is a tokenizer.json that says the same, and decodes."""
    original = ORIGINALS["smollm"]()
    path = packed(tmp_path / "mine.gguf", byte_level_keys(original, "smollm"))
    options = {"model": "mine", "path": str(path), "tokenizer": path.name}
    copy_tokenizer(options, tmp_path / "tokenizer.json", fetch=False)
    copied = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path / "tokenizer.json").encode(TEXTS) == load_tokenizer(path).encode(TEXTS)
    for text in TEXTS:
        assert copied.decode(copied.encode(text).ids, skip_special_tokens=False) == text


def test_sentencepiece(tmp_path: Path) -> None:
    """Its spaces at edges and its bytes for what it does not know are SentencePiece's own, so it is run by that."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TRAINING),
        model_prefix=str(tmp_path / "tokenizer"),
        model_type="bpe",
        vocab_size=480,
        byte_fallback=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    original = load_tokenizer(tmp_path / "tokenizer.model")
    path = packed(tmp_path / "mine.gguf", sentencepiece_keys(tmp_path / "tokenizer.model"))
    made = load_tokenizer(path)
    assert made.encode(TEXTS) == original.encode(TEXTS)
    assert made.vocabulary == original.vocabulary and made.stand_in == original.stand_in
    parts = [text[3:-3] for text in TEXTS]
    flags = [False] * len(parts)
    assert made.encode_parts(parts, flags, flags) == original.encode_parts(parts, flags, flags)
    assert added_tokens(path) == set()
    copy_tokenizer({"model": "mine", "path": str(path), "tokenizer": path.name}, tmp_path / "copy.model", fetch=False)
    assert load_tokenizer(tmp_path / "copy.model").encode(TEXTS) == original.encode(TEXTS)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tokenizer.ggml.pre": "default"}, r"how it cuts text, tokenizer\.ggml\.pre 'default', is not known here"),
        ({"tokenizer.ggml.pre": None}, r"tokenizer\.ggml\.pre None, is not known"),
        ({"tokenizer.ggml.model": "bert"}, "its tokenizer is of kind 'bert'"),
        ({"tokenizer.ggml.model": None}, "it holds none"),
        ({"tokenizer.ggml.merges": None}, r"it has no tokenizer\.ggml\.merges"),
        ({"tokenizer.ggml.merges": ["zz qq"]}, "zz"),
        ({"tokenizer.ggml.model": "llama"}, r"it has no tokenizer\.ggml\.scores"),
    ],
)
def test_refusals(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    """`transformers` cuts text as GPT-2 does where it does not know how; tokens would be another model's."""
    keys = byte_level_keys(ORIGINALS["gpt-2"](), "gpt-2") | changes
    path = packed(tmp_path / "mine.gguf", keys)
    sentence = rf"^the tokenizer of .*mine\.gguf cannot be made from it \(.*{why}.*\); name its tokenizer\.json or"
    with pytest.raises(ReciteError, match=sentence):
        load_tokenizer(path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"\xff" * 64, "half"])
def test_damaged(tmp_path: Path, content: bytes | str) -> None:
    path = packed(tmp_path / "mine.gguf", byte_level_keys(ORIGINALS["gpt-2"](), "gpt-2"))
    path.write_bytes(path.read_bytes()[:900] if isinstance(content, str) else content)
    with pytest.raises(
        ReciteError, match=r"mine\.gguf cannot be read as a GGUF file \(.+\); fetch or convert it again"
    ):
        load_tokenizer(path)
