"""Tokenizer files: what turns text into a model's tokens.

SentencePiece and what is like it treat the edges of a text: they put a space in front, and drop spaces there. A part of
a document has no such edges, except where the document has its own; it is cut into tokens as it stands within.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sentencepiece
from tokenizers import Tokenizer

from recite.corpora.gguf_tokenizer import make_tokenizer
from recite.errors import ReciteError

PRIVATE_USE = range(0xE000, 0xF900)
"""Characters without meaning, of which no vocabulary has all."""

Offsets = list[tuple[int, int]]


class Encoder(NamedTuple):
    """A loaded tokenizer.

    locate: texts -> for each its token ids and the characters of the text from and to which each of them goes; no
    special token is added. vocabulary: token -> id, special tokens included. stand_in: what stands for the rest of the
    document beside a part of it, a character that no token holds with another; "" where edges are as good as none.
    """

    locate: Callable[[Sequence[str]], list[tuple[list[int], Offsets]]]
    vocabulary: dict[str, int]
    stand_in: str

    def encode(self, texts: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """Of each whole document its token ids, and the character of the text at which each of them ends."""
        return [(ids, [end for _, end in offsets]) for ids, offsets in self.locate(texts)]

    def encode_parts(
        self, texts: Sequence[str], heads: Sequence[bool], tails: Sequence[bool]
    ) -> list[tuple[list[int], list[int]]]:
        """The same of parts of documents; heads, tails: whether a part begins, or ends, where its document does."""
        befores = ["" if head else self.stand_in for head in heads]
        afters = ["" if tail else self.stand_in for tail in tails]
        located = self.locate([a + text + b for a, text, b in zip(befores, texts, afters, strict=True)])
        return [
            _within(ids, offsets, len(before), len(before) + len(text)) if text else ([], [])
            for (ids, offsets), text, before in zip(located, texts, befores, strict=True)
        ]


def _within(ids: list[int], offsets: Offsets, first: int, last: int) -> tuple[list[int], list[int]]:
    """The tokens between two characters, with their ends counted from the first.

    One token may stand for several unknown characters, beside the part and in it: it is the part's too. Where their
    bytes stand for them, which all have the place of the whole, those of the stand-in come first, or last.
    """
    kept = [at for at, (begin, end) in enumerate(offsets) if (begin >= first or end > first) and begin < last]
    left = [at for at in kept if offsets[at][0] < first]
    right = [at for at in kept if offsets[at][1] > last]
    size = len(chr(PRIVATE_USE.start).encode())
    dropped = {*(left[:size] if len(left) > 1 else ()), *(right[-size:] if len(right) > 1 else ())}
    kept = [at for at in kept if at not in dropped]
    return [ids[at] for at in kept], [min(offsets[at][1], last) - first for at in kept]


def load_tokenizer(path: Path) -> Encoder:
    """The tokenizer of a `tokenizer.json`, a SentencePiece `tokenizer.model` or a GGUF file.

    Raises ReciteError where it is missing or broken, or of a kind that cannot be made from a GGUF file.
    """
    try:
        content = content_of(path)
        return _sentencepiece(content) if _is_sentencepiece(path, content) else _tokenizers(content)
    except ReciteError:
        raise
    except Exception as error:  # both libraries raise plain Exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ReciteError(f"{path} is not a readable tokenizer ({reason}); make or fetch it again.") from None


def content_of(path: Path) -> bytes:
    """What a tokenizer's file holds: of a GGUF file what is made from it."""
    return make_tokenizer(path) if path.suffix == ".gguf" else path.read_bytes()


def _is_sentencepiece(path: Path, content: bytes) -> bool:
    return path.suffix == ".model" or (path.suffix == ".gguf" and not content.startswith(b"{"))


def _tokenizers(content: bytes) -> Encoder:
    tokenizer = Tokenizer.from_str(content.decode())
    tokenizer.no_truncation()  # a file may ask for either, which is for training
    tokenizer.no_padding()

    def locate(texts: Sequence[str]) -> list[tuple[list[int], Offsets]]:
        encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [(encoding.ids, encoding.offsets) for encoding in encoded]

    steps = [json.loads(step.__getstate__()) for step in (tokenizer.normalizer, tokenizer.pre_tokenizer) if step]
    vocabulary = tokenizer.get_vocab()
    return Encoder(locate, vocabulary, _stand_in(vocabulary) if any(map(_treats_edges, steps)) else "")


def _treats_edges(step: Any) -> bool:
    """Whether a normalizer or pre-tokenizer, or one that it is made of, does something at a text's edges alone."""
    if isinstance(step, list):
        return any(map(_treats_edges, step))
    if not isinstance(step, dict):
        return False
    prepends = step.get("add_prefix_space", False) or step.get("prepend_scheme", "never") != "never"
    pattern = step.get("pattern")
    expression = pattern.get("Regex", "") if isinstance(pattern, dict) else ""
    anchored = expression.startswith(("^", r"\A")) or expression.endswith(("$", r"\z", r"\Z"))
    return prepends or anchored or step.get("type") in ("Prepend", "Strip") or _treats_edges([*step.values()])


def _sentencepiece(content: bytes) -> Encoder:
    if not content:  # which the library takes for no model asked for
        raise ValueError("it is empty")
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)

    def locate(texts: Sequence[str]) -> list[tuple[list[int], Offsets]]:
        encoded = processor.encode(list(texts), return_type="offset_mapping", num_threads=1)
        return [(found["ids"], found["offsets"]) for found in encoded]

    vocabulary = {processor.id_to_piece(index): index for index in range(processor.vocab_size())}
    return Encoder(locate, vocabulary, _stand_in(vocabulary))


def _stand_in(pieces: Iterable[str]) -> str:
    """The first character of private use that is in no piece, so that none reaches from it into the text."""
    used = set("".join(pieces))
    return next(chr(code) for code in PRIVATE_USE if chr(code) not in used)


def added_tokens(path: Path) -> set[int]:
    """Ids of the tokens that were added to a readable tokenizer; to SentencePiece's models none are."""
    content = content_of(path)
    if _is_sentencepiece(path, content):
        return set()
    return set(Tokenizer.from_str(content.decode()).get_added_tokens_decoder())


def load_decoder(path: Path) -> Callable[[Sequence[int]], str]:
    """Token ids -> the text that they are within a document, by the tokenizer of a file as `load_tokenizer` reads it.

    Special tokens have their names, bytes that are no character U+FFFD, and ids that the tokenizer has no token for
    nothing. What a decoder drops at the head of a text, such as a space, stays: it is decoded behind a full stop.
    """
    stop = load_tokenizer(path).encode(["."])[0][0][-1:]
    content = content_of(path)
    if _is_sentencepiece(path, content):
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        size = processor.vocab_size()

        def plain(ids: Sequence[int]) -> str:
            return str(processor.decode([token for token in ids if token < size]))

    else:
        tokenizer = Tokenizer.from_str(content.decode())

        def plain(ids: Sequence[int]) -> str:
            return str(tokenizer.decode(list(ids), skip_special_tokens=False))

    head = len(plain(stop))
    return lambda ids: plain([*stop, *ids])[head:]
