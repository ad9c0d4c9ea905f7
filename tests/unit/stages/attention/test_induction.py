"""Induction scores: heads that are made to be induction heads, or to look at the token before, or at everything."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from recite.checkpoints.loading import Checkpoint
from recite.errors import ReciteError
from recite.kernels.attention import ATTENTION, attend
from recite.stages.attention import induction
from recite.stages.attention.induction import Induced, even_weight, heads_in, measure_induction, repeated
from recite.stages.attention.rows import INDUCED
from recite.tables import read_metadata
from recite.tables.lists import as_array

COUNT, LENGTH, VOCABULARY = 6, 12, 300
LAYER, HEAD = 1, 2
Codes = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From tokens (rows, positions) to what each position looks for, and what it is found by, (rows, positions, width)."""


def after_first(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Each position looks for the positions behind its own token: an induction head."""
    code = torch.randn(VOCABULARY, 16, generator=torch.Generator().manual_seed(2))
    code = code / code.norm(dim=1, keepdim=True)
    before = torch.cat([torch.zeros(len(tokens), 1, 16), code[tokens[:, :-1]]], dim=1)
    return code[tokens], before


def token_before(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Each position looks for the one before it."""
    code = torch.randn(tokens.shape[1] + 1, 16, generator=torch.Generator().manual_seed(2))
    code = code / code.norm(dim=1, keepdim=True)
    return code[:-1].expand(len(tokens), -1, -1), code[1:].expand(len(tokens), -1, -1)


def everything(tokens: Tensor) -> tuple[Tensor, Tensor]:
    zeros = torch.zeros(*tokens.shape, 16)
    return zeros, zeros


def rewired(
    checkpoint: Checkpoint, tokens: Tensor, codes: Codes, monkeypatch: pytest.MonkeyPatch, batch_rows: int = COUNT
) -> Induced:
    """What is found where one head's queries and keys are replaced by codes, whatever the weights make of them."""
    looks_for, found_by = codes(tokens)
    chosen = checkpoint.attention(LAYER)

    def rewrite(module: nn.Module, query: Tensor, key: Tensor, *others: Any, **named: Any) -> Any:
        if module is chosen:
            group = checkpoint.heads // key.shape[1]
            query, key = query.clone(), key.clone()
            query[:, HEAD], key[:, HEAD // group] = 5000 * looks_for, found_by
        return attend(module, query, key, *others, **named)

    monkeypatch.setitem(AttentionInterface._global_mapping, ATTENTION, rewrite)
    return heads_in(checkpoint, tokens, LENGTH, batch_rows)


@pytest.mark.parametrize("bos", [None, 1])
def test_a_planted_induction_head(checkpoint: Checkpoint, bos: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A score one place beside, of another head, or of the first half, is about even attention, or 0."""
    tokens = repeated(COUNT, LENGTH, VOCABULARY, bos, 1)
    found = rewired(checkpoint, tokens, after_first, monkeypatch)
    assert found.induction[:, LAYER, HEAD].min() > 0.999
    assert found.previous[:, LAYER, HEAD].max() < 0.3  # a token that is new looks for what is like it
    others = torch.ones(len(checkpoint.layers), checkpoint.heads, dtype=torch.bool)
    others[LAYER] = False  # heads that share the key are changed, too
    assert found.induction[:, others].max() < 0.3


@pytest.mark.parametrize("bos", [None, 1])
def test_a_planted_previous_token_head(
    checkpoint: Checkpoint, bos: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = repeated(COUNT, LENGTH, VOCABULARY, bos, 1)
    found = rewired(checkpoint, tokens, token_before, monkeypatch)
    assert found.previous[:, LAYER, HEAD].min() > 0.999
    assert found.induction[:, LAYER, HEAD].max() < 0.001


@pytest.mark.parametrize("bos", [None, 1])
def test_even_attention(checkpoint: Checkpoint, bos: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that attends to everything has the even weight; one of a model without training about that."""
    tokens = repeated(COUNT, LENGTH, VOCABULARY, bos, 1)
    found = rewired(checkpoint, tokens, everything, monkeypatch)
    even = even_weight(LENGTH, bos is not None)
    seen = [position + (bos is not None) + 1 for position in range(LENGTH, 2 * LENGTH)]
    assert even == pytest.approx(np.mean([1 / keys for keys in seen]))
    assert torch.allclose(found.induction[:, LAYER, HEAD], torch.tensor(even))
    monkeypatch.undo()
    untrained = heads_in(checkpoint, repeated(60, LENGTH, VOCABULARY, bos, 1), LENGTH, 30)
    assert even / 1.6 < untrained.induction.mean() < 1.6 * even
    assert untrained.induction.mean(dim=0).max() < 0.3


def test_sequences_do_not_hang_on_their_batch(checkpoint: Checkpoint) -> None:
    tokens, order = repeated(7, LENGTH, VOCABULARY, 1, 1), torch.tensor([3, 6, 0, 2, 5, 1, 4])
    whole, other = (heads_in(checkpoint, rows, LENGTH, 4) for rows in (tokens, tokens[order]))
    assert torch.equal(whole.induction[order], other.induction) and torch.equal(whole.previous[order], other.previous)
    small = heads_in(checkpoint, tokens, LENGTH, 2)
    torch.testing.assert_close(whole.induction, small.induction, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("bos", [None, 17])
def test_repeated_tokens(bos: int | None) -> None:
    """A token that stood there before, or BOS among them, would have two places to look at."""
    tokens = repeated(40, LENGTH, 20, bos, 3)
    start = int(bos is not None)
    assert tokens.shape == (40, start + 2 * LENGTH) and tokens.max() < 20
    assert torch.equal(tokens[:, start : start + LENGTH], tokens[:, start + LENGTH :])
    assert all(len(set(line)) == LENGTH for line in tokens[:, start : start + LENGTH].tolist())
    if bos is not None:
        assert (tokens[:, 0] == bos).all() and not (tokens[:, 1:] == bos).any()
    assert torch.equal(repeated(3, LENGTH, 20, bos, 3), tokens[:3])
    assert not torch.equal(repeated(3, LENGTH, 20, bos, 4), tokens[:3])
    with pytest.raises(ReciteError, match=r"asks for 12 distinct tokens .* the vocabulary has 12; ask for fewer"):
        repeated(1, LENGTH, 12, bos, 3)


def test_the_table(checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"model": "a-s", "family": "a", "dtype": "float32", "bos": 1, "batch_rows": 4, "seed": 2}
    options |= {"sequences": 5, "repeated_tokens": LENGTH}
    monkeypatch.setattr(induction, "load_checkpoint", lambda *_: checkpoint)
    measure_induction(options, Path("none"), tmp_path / "induced.parquet", 1)
    table, made = INDUCED.read(tmp_path / "induced.parquet"), read_metadata(tmp_path / "induced.parquet")
    expected = heads_in(checkpoint, repeated(5, LENGTH, VOCABULARY, 1, 2), LENGTH, 4)
    for name, values in expected._asdict().items():
        np.testing.assert_array_equal(as_array(table[name]), values.flatten(1))
    assert (made["layers"], made["heads"]) == (len(checkpoint.layers), checkpoint.heads)
    assert made["even"] == even_weight(LENGTH, True)
