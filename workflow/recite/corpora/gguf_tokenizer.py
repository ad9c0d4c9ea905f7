"""The tokenizer that a GGUF file holds, made from its keys: a tokenizer.json, or SentencePiece's tokenizer.model.

A file holds tokens, their kinds, merges or scores, and the name of the way in which text is cut before the merges
(`tokenizer.ggml.pre`), which llama.cpp knows by heart: https://github.com/ggml-org/llama.cpp, src/llama-vocab.cpp. What
is not in the table here is refused; under another way of cutting the tokens would look right and not be the model's.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from recite.errors import ReciteError
from recite.sources.gguf_keys import SENTENCEPIECE, kind_of_tokenizer, read_keys

LISTS = tuple(f"tokenizer.ggml.{name}" for name in ("tokens", "token_type", "scores", "merges"))
BYTE_LEVEL = "gpt2"
"""What GGUF calls BPE on bytes."""
UNKNOWN, CONTROL, OWN = 2, 3, 4
"""Kinds of tokens beside the normal ones; `OWN` are those that are matched in the text and are not special."""
BPE = 2
"""SentencePiece's number for its models by merges."""


class Cutting(NamedTuple):
    """How text is cut before merges: expressions in turn, the last being GPT-2's where `gpt2` says so.

    nfc: text is composed first. whole: a piece that is a token is taken as it is, whatever the merges make of it.
    """

    expressions: tuple[str, ...] = ()
    gpt2: bool = True
    nfc: bool = False
    whole: bool = False


_ENGLISH = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = _ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _REST
_QWEN2 = _ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _REST
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_NAME, _WORD = (r"[^\r\n\p{L}\p{N}]?" + letters for letters in (f"{_UPPER}*{_LOWER}+", f"{_UPPER}+{_LOWER}*"))
_SLASHES = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT4O = f"{_NAME}{_ENGLISH}?|{_WORD}{_ENGLISH}?|" + r"\p{N}{1,3}" + _SLASHES
_TEKKEN = f"{_NAME}|{_WORD}|" + r"\p{N}" + _SLASHES

CUTTINGS: dict[str, Cutting] = (
    dict.fromkeys(("gpt-2", "phi-2", "jais", "trillion", "granite-docling", "gigachat"), Cutting())
    | dict.fromkeys(("mpt", "olmo"), Cutting(nfc=True))
    | dict.fromkeys(
        ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), Cutting((r"\p{N}",))
    )
    | dict.fromkeys(("llama3", "llama-v3", "llama-bpe"), Cutting((_LLAMA3,), gpt2=False, whole=True))
    | dict.fromkeys(("dbrx", "smaug-bpe"), Cutting((_LLAMA3,), gpt2=False))
    | {
        "qwen2": Cutting((_QWEN2,), gpt2=False, nfc=True),
        "gpt-4o": Cutting((_GPT4O,), gpt2=False),
        "tekken": Cutting((_TEKKEN,), gpt2=False, whole=True),
    }
)
"""`tokenizer.ggml.pre` -> how text is cut."""


def adds_bos(keys: dict[str, Any]) -> bool:
    """Whether a begin-of-sequence token is put first; by SentencePiece's it is unless the file says otherwise."""
    return bool(keys.get("tokenizer.ggml.add_bos_token", kind_of_tokenizer(keys) == SENTENCEPIECE))


def make_tokenizer(path: Path) -> bytes:
    """The content of a GGUF file's tokenizer.json, or tokenizer.model; ReciteError for a kind that is not read."""
    keys = read_keys(path, LISTS).keys
    kind, pre = kind_of_tokenizer(keys), keys.get("tokenizer.ggml.pre")
    if kind not in (SENTENCEPIECE, BYTE_LEVEL):
        raise _unread(path, f"its tokenizer is of kind {kind!r}" if kind else "it holds none")
    if kind == BYTE_LEVEL and pre not in CUTTINGS:
        raise _unread(path, f"how it cuts text, tokenizer.ggml.pre {pre!r}, is not known here")
    try:
        if kind == SENTENCEPIECE:
            return b"".join(_sentencepiece(keys))
        return str(_byte_level(keys, CUTTINGS[str(pre)]).to_str()).encode()
    except KeyError as error:
        raise _unread(path, f"it has no {error.args[0]}") from None
    except Exception as error:  # the library raises plain Exceptions
        raise _unread(path, " ".join(str(error).split()) or type(error).__name__) from None


def _unread(path: Path, why: str) -> ReciteError:
    return ReciteError(
        f"the tokenizer of {path} cannot be made from it ({why}); name its tokenizer.json or tokenizer.model by "
        "`tokenizer` in the models file."
    )


def _byte_level(keys: dict[str, Any], cutting: Cutting) -> Tokenizer:
    """Byte-level BPE."""
    tokens, merges = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.merges"]
    kinds = keys.get("tokenizer.ggml.token_type", [1] * len(tokens))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs, ignore_merges=cutting.whole))
    if cutting.nfc:
        tokenizer.normalizer = normalizers.NFC()
    prefix = bool(keys.get("tokenizer.ggml.add_space_prefix", False))
    steps: list[Any] = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in cutting.expressions]
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=cutting.gpt2))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    for token, kind in zip(tokens, kinds, strict=True):  # in the file's order, and each by the number that it has
        if kind == CONTROL:
            tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True)])
        elif kind == OWN:
            tokenizer.add_tokens([AddedToken(token, normalized=False, special=False)])
    return tokenizer


def _sentencepiece(keys: dict[str, Any]) -> Iterator[bytes]:
    """A SentencePiece model by merges that leaves characters as they are: pieces, how trained, how it normalizes.

    Field numbers are those of sentencepiece_model.proto; GGUF's kinds of tokens are its own.
    """
    pieces, scores = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.scores"]
    kinds = keys["tokenizer.ggml.token_type"]
    for piece, score, kind in zip(pieces, scores, kinds, strict=True):
        yield _field(1, _field(1, piece.encode()) + b"\x15" + struct.pack("<f", score) + _number(3, kind))
    fallback = 6 in kinds
    unknown = keys.get("tokenizer.ggml.unknown_token_id", kinds.index(UNKNOWN) if UNKNOWN in kinds else 0)
    trained = _number(3, BPE) + _number(4, len(pieces)) + _number(35, fallback) + _number(40, unknown)
    yield _field(2, trained + _field(45, pieces[unknown].encode()))
    prefix = bool(keys.get("tokenizer.ggml.add_space_prefix", True))
    extra = bool(keys.get("tokenizer.ggml.remove_extra_whitespaces", False))
    yield _field(3, _field(1, b"identity") + _number(3, prefix) + _number(4, extra) + _number(5, True))


def _number(field: int, value: int) -> bytes:
    """A whole number of a protocol buffer."""
    return _varint(field << 3) + _varint(int(value))


def _field(field: int, content: bytes) -> bytes:
    """Bytes, a text or a message of a protocol buffer."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
