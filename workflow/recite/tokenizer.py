"""Tokenizer files: what turns text into a model's tokens."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import sentencepiece
from tokenizers import Tokenizer

from recite.errors import ReciteError


class Encoder(NamedTuple):
    """A loaded tokenizer.

    encode: texts -> for each its token ids and the character of the text at which each of them ends; no special token
    is added. vocabulary: token -> id, special tokens included.
    """

    encode: Callable[[Sequence[str]], list[tuple[list[int], list[int]]]]
    vocabulary: dict[str, int]


def load_tokenizer(path: Path) -> Encoder:
    """The tokenizer of a `tokenizer.json` or a SentencePiece `tokenizer.model`; ReciteError if missing or broken."""
    try:
        return _sentencepiece(path) if path.suffix == ".model" else _tokenizers(path)
    except Exception as error:  # both libraries raise plain Exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ReciteError(f"{path} is not a readable tokenizer ({reason}); make or fetch it again.") from None


def _tokenizers(path: Path) -> Encoder:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()  # a file may ask for either, which is for training
    tokenizer.no_padding()

    def encode(texts: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [(encoding.ids, [end for _, end in encoding.offsets]) for encoding in encoded]

    return Encoder(encode, tokenizer.get_vocab())


def _sentencepiece(path: Path) -> Encoder:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def encode(texts: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        encoded = processor.encode(list(texts), return_type="offset_mapping", num_threads=1)
        return [(found["ids"], [end for _, end in found["offsets"]]) for found in encoded]

    return Encoder(encode, {processor.id_to_piece(index): index for index in range(processor.vocab_size())})


def added_tokens(path: Path) -> set[int]:
    """Ids of the tokens that were added to a readable tokenizer.json; to SentencePiece's models none are."""
    return set() if path.suffix == ".model" else set(Tokenizer.from_file(str(path)).get_added_tokens_decoder())
