"""recite.stages.examples.pieces: texts token by token, by tokenizers of several kinds."""

from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from recite.corpora.tokenization import train_tokenizer
from recite.corpora.tokenizer import load_decoder, load_tokenizer
from recite.stages.examples.pieces import pieces_of

TRAINING = ["def add(first, second):\n    return first + second\n"] * 20 + ["naïve café 漢字 and emoji"] * 20
TEXT = "    return naïve + 漢🙂字  second\n\tfirst"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A byte-level BPE, a SentencePiece model, and Llama's way of the latter in a tokenizer.json."""
    folder = tmp_path_factory.mktemp("tokenizers")
    train_tokenizer(TRAINING, 300).save(str(folder / "bytes.json"))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TRAINING),
        model_prefix=str(folder / "piece"),
        model_type="bpe",
        vocab_size=330,
        byte_fallback=True,
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    plain = sentencepiece.SentencePieceProcessor(model_file=str(folder / "piece.model"))
    vocabulary = {plain.id_to_piece(i): i for i in range(plain.vocab_size())}
    llama = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    llama.pre_tokenizer = pre_tokenizers.Metaspace()
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    llama.decoder = decoders.Sequence(steps)
    llama.save(str(folder / "llama.json"))
    return {"bytes": folder / "bytes.json", "piece": folder / "piece.model", "llama": folder / "llama.json"}


KINDS = ("bytes", "piece", "llama")


@pytest.mark.parametrize("kind", KINDS)
def test_put_together_they_are_the_text(files: dict[str, Path], kind: str) -> None:
    """Prevents a lost space at the head of a window, and characters that are lost between tokens."""
    decode, encoder = load_decoder(files[kind]), load_tokenizer(files[kind])
    ((ids, ends),) = encoder.encode_parts([TEXT], [False], [False])
    found = pieces_of(decode, ids)
    pieces = found.cut(found.text)
    # SentencePiece's own normalization takes line ends and tabs for spaces.
    text = TEXT.replace("\n\t", "  ") if kind == "piece" else TEXT
    assert len(pieces) == len(ids) and "".join(pieces) == found.text == text
    # By the tokenizer's own account of where a token ends, but among characters that several tokens may share.
    first = text.index("naï")
    assert [end for end in ends if end <= first] == [end for end in found.ends if end <= first]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_model_says(files: dict[str, Path], kind: str, seed: int) -> None:
    """Ids at random, of bytes that are no character, special ones, and some that the tokenizer does not know."""
    decode = load_decoder(files[kind])
    ids = np.random.default_rng(seed).integers(0, 340, 32).tolist()
    found = pieces_of(decode, ids)
    assert found.text == decode(ids) == "".join(found.cut(found.text))
    assert found.ends == sorted(found.ends) and len(found.ends) == len(ids)


def test_a_character_of_several_tokens_is_the_last_ones(files: dict[str, Path]) -> None:
    decode, encoder = load_decoder(files["bytes"]), load_tokenizer(files["bytes"])
    ((ids, _),) = encoder.encode_parts(["🙂a"], [False], [False])
    found = pieces_of(decode, ids)
    assert found.cut(found.text) == ["", "", "", "🙂", "a"]
    half = pieces_of(decode, ids[:2])
    assert "".join(half.cut(half.text)) == half.text == "�"
    assert pieces_of(decode, []) == ("", [])
