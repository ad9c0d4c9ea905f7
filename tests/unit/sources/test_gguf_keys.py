"""Keys of GGUF files: what the library reads, without it; damage ends in one sentence."""

import random
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType, GGUFReader

from gguf_files import small_llama, write_gguf
from recite.errors import ReciteError
from recite.sources.gguf_keys import Length, read_keys

KEYS: dict[str, Any] = {
    "tokenizer.ggml.tokens": ["", "a", "ü" * 300, "<|end|>"],
    "tokenizer.ggml.scores": [0.5, 1.5, -3.0],
    "tokenizer.ggml.token_type": [1, 2, 3, 4, 5],
    "tokenizer.ggml.add_bos_token": True,
    "llama.note": "text behind the lists, ü",
    "llama.small": 0.25,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_gguf(tmp_path / "mine.gguf", small_llama(), GGMLQuantizationType.Q8_0, keys=KEYS)
    return tmp_path / "mine.gguf"


def test_what_the_library_reads(path: Path) -> None:
    """Keys, shapes and types, and of lists what is asked for, or how long they are."""
    plain = GGUFReader(path)
    lists = [name for name, value in KEYS.items() if isinstance(value, list)]
    expected = {name: field.contents() for name, field in plain.fields.items() if not name.startswith("GGUF.")}
    assert read_keys(path, lists).keys == expected
    found = read_keys(path)
    assert {name: value for name, value in found.keys.items() if name not in lists} == {
        name: value for name, value in expected.items() if name not in lists
    }
    assert [found.keys[name] for name in lists] == [Length(4), Length(3), Length(5)]
    assert {name: (tensor.shape, tensor.type) for name, tensor in found.tensors.items()} == {
        tensor.name: (tuple(int(size) for size in reversed(tensor.shape)), int(tensor.tensor_type))
        for tensor in plain.tensors
    }


def test_damage(path: Path) -> None:
    """A traceback, or minutes of reading, in every process that reads a study."""
    whole, draw = path.read_bytes(), random.Random(4)
    sentence = r"mine\.gguf cannot be read as a GGUF file \(.+\); fetch or convert it again\.$"
    for size in range(0, 1000, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(ReciteError, match=sentence):
            read_keys(path)
    for _ in range(600):
        changed = bytearray(whole)
        for _ in range(3):
            changed[draw.randrange(4, 2500)] = draw.randrange(256)
        path.write_bytes(changed)
        try:
            read_keys(path, list(KEYS))
        except ReciteError as error:
            assert "cannot be read as a GGUF file" in str(error)
