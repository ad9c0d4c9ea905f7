"""The workers of the bench, on a small model: they answer, and engine and `generate` say the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.torch_peers import Engine, Generate, Products

ROWS, STEPS = 8, 9


@pytest.fixture(scope="module")
def folder(checkpoint_folder: Callable[[str], Path]) -> str:
    return str(checkpoint_folder("openllama"))


@pytest.fixture(scope="module")
def rows() -> list[list[int]]:
    drawn: list[list[int]] = torch.randint(3, 300, (5, 8), generator=torch.Generator().manual_seed(2)).tolist()
    return drawn


def test_engine_and_generate(folder: str, rows: list[list[int]]) -> None:
    """Tokens with and without a draft, without each head of a layer, and from every suffix."""
    engine, plain = (peer(folder, "float32", ROWS, STEPS) for peer in (Engine, Generate))
    clean = plain.score(rows)["tokens"]
    assert engine.score(rows)["tokens"] == engine.score(rows, clean)["tokens"] == clean
    assert engine.suffixes(rows, clean) == plain.suffixes(rows, clean)
    layers, count = [1, 0], plain.model.config.num_attention_heads
    engine.ablate(rows, clean, layers)
    for layer in layers:
        found = engine.next_layer()
        tokens = torch.tensor(found["tokens"])
        assert tokens.transpose(0, 1).tolist() == plain.ablate(rows, layer, list(range(count)))["tokens"]
        same = (tokens == torch.tensor(clean)[:, None]).int().cumprod(dim=2).sum(dim=2)
        assert found["kept"] == same.tolist()


def test_decoded_layers(folder: str, rows: list[list[int]]) -> None:
    engine = Engine(folder, "float32", ROWS, STEPS)
    clean = engine.score(rows)["tokens"]
    assert [engine.decode(rows, clean, stride)["layers"] for stride in (1, 2)] == [3, 2]


def test_products(folder: str, rows: list[list[int]]) -> None:
    """Both count the same operations: of all weights for every position fed, of the unembedding for one a row."""
    found = {Products(folder, "float32", ROWS, STEPS, packed).score(rows)["operations"] for packed in (False, True)}
    model = Generate(folder, "float32", ROWS, STEPS).model
    unembedding = model.get_output_embeddings()
    linear = sum(part.weight.numel() for part in model.modules() if isinstance(part, torch.nn.Linear))
    fed = len(rows) * (len(rows[0]) + STEPS - 1)
    unembedded = unembedding.weight.numel() * len(rows) * STEPS
    assert found == {2 * ((linear - unembedding.weight.numel()) * fed + unembedded)}
