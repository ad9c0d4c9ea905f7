"""Tokenizers as keys of GGUF files, as llama.cpp's converter writes them."""

import json
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Tokenizer


def byte_level_keys(tokenizer: Tokenizer, pre: str) -> dict[str, Any]:
    """The keys of a byte-level BPE; `pre` names how it cuts text."""
    told = json.loads(tokenizer.to_str())
    added = {token["id"]: token["special"] for token in told["added_tokens"]}
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    kinds = [1 if index not in added else 3 if added[index] else 4 for _, index in tokens]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [token for token, _ in tokens],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": [" ".join(pair) for pair in told["model"]["merges"]],
    }


def sentencepiece_keys(file: Path) -> dict[str, Any]:
    """The keys of a SentencePiece model."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    ids = range(model.vocab_size())
    asked = {2: model.is_unknown, 3: model.is_control, 5: model.is_unused, 6: model.is_byte}
    kinds = [next((kind for kind, holds in asked.items() if holds(index)), 1) for index in ids]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [model.id_to_piece(index) for index in ids],
        "tokenizer.ggml.scores": [model.get_score(index) for index in ids],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.bos_token_id": model.bos_id(),
        "tokenizer.ggml.unknown_token_id": model.unk_id(),
    }
