"""Head ablation against the naive way: one full generation for every head, under a hook written here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peers import generate
from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.loading import Checkpoint
from recite.engine import passes
from recite.engine.branches import Branches
from recite.engine.continuation import Continuation, continue_greedily
from recite.engine.interventions.heads import HeadReplacement, Replacement
from recite.engine.passes import CHUNK, chunks
from recite.stages.heads.measure import continuations as ablation
from recite.stages.heads.measure.continuations import Ablation, ablate_heads, mean_outputs
from turns import in_turn

STEPS = CHUNK + 4
LAYERS, HEADS, WIDTH = 3, 3, 16
"""Of the models of conftest.py."""
NEAR_TIE = 1e-4


@pytest.fixture
def context(context: Tensor) -> Tensor:
    """Seven rows of 16 tokens: not a multiple of the batch of four."""
    return context[:7, :16]


@pytest.fixture
def clean(checkpoint: Checkpoint, context: Tensor) -> Tensor:
    """What the whole model goes on with."""
    return continue_greedily(checkpoint, context, STEPS, 4).tokens


def projection_of(family: str, model: PreTrainedModel, layer: int) -> nn.Module:
    """The attention output projection, found by hand."""
    return model.get_submodule(f"{ARCHITECTURES[family].layers}.{layer}.{ARCHITECTURES[family].attention_output}")


@contextmanager
def without_head(projection: nn.Module, head: int, by: Replacement) -> Iterator[None]:
    """Within the block one slice of what the projection is given is zero, or the mean of the two other slices."""

    def change(module: nn.Module, given: Any) -> tuple[Tensor]:
        slices = list(given[0].split(WIDTH, dim=-1))
        others = slices[:head] + slices[head + 1 :]
        slices[head] = 0 * slices[head] if by == "zero" else (others[0] + others[1]) / 2
        return (torch.cat(slices, dim=-1),)

    handle = projection.register_forward_pre_hook(change)
    try:
        yield
    finally:
        handle.remove()


def inputs_of_projections(family: str, model: PreTrainedModel, tokens: Tensor) -> list[Tensor]:
    """What each layer's projection is given in one pass over `tokens`."""
    seen: list[Tensor] = []
    handles = [
        projection_of(family, model, layer).register_forward_hook(lambda _, given, __: seen.append(given[0].clone()))
        for layer in range(LAYERS)
    ]
    with torch.inference_mode():
        model(input_ids=tokens)
    for handle in handles:
        handle.remove()
    return seen


def by_layer(ablations: Iterator[Ablation]) -> dict[int, Continuation]:
    """Layer -> continuations of all rows (rows, heads, ...); the parts must follow one another."""
    parts: dict[int, list[Ablation]] = {}
    for part in ablations:
        assert part.rows.start == (parts[part.layer][-1].rows.stop if part.layer in parts else 0)
        assert len(part.continuation.tokens) == len(part.rows)
        parts.setdefault(part.layer, []).append(part)
    return {
        layer: Continuation(*(torch.cat(tensors) for tensors in zip(*(p.continuation for p in some), strict=True)))
        for layer, some in parts.items()
    }


def assert_same_but_near_ties(found: Continuation, head: int, expected: Tensor) -> None:
    """Rows without one head may differ only where the margin is a near-tie, and those must be few."""
    sure = found.margin[:, head] >= NEAR_TIE
    assert torch.equal(found.tokens[sure, head], expected[sure])
    assert sure.sum() >= len(sure) - 1


def test_equals_the_naive_way(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor, clean: Tensor
) -> None:
    """A head mistaken for another, or a stale key of the clean run, would move effects between heads."""
    by: Replacement = in_turn(family, ["mean_of_others", "zero"])
    found = by_layer(ablate_heads(checkpoint, context, clean, 4, by=by))
    assert list(found) == list(range(LAYERS))
    changed = set()
    for layer, continuation in found.items():
        assert continuation.tokens.shape == (7, HEADS, STEPS)
        for head in range(HEADS):
            with without_head(projection_of(family, reference, layer), head, by):
                expected = generate(reference, context, STEPS)
            assert_same_but_near_ties(continuation, head, expected)
            prefixes = (continuation.tokens[:, head] == clean).long().cumprod(dim=1).sum(dim=1)
            assert torch.equal(continuation.first_mismatch[:, head], prefixes)
            changed |= set(prefixes.tolist())
    assert len(changed) > 3


def test_mean_outputs(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor, clean: Tensor
) -> None:
    """Rows that fill the last batch, or positions counted twice, would shift the mean."""
    means = mean_outputs(checkpoint, context, clean, 4)
    seen = inputs_of_projections(family, reference, torch.cat([context, clean[:, :-1]], dim=1))
    assert len(means) == LAYERS
    for mean, outputs in zip(means, seen, strict=True):
        assert mean.dtype == torch.float32
        torch.testing.assert_close(mean, outputs.double().mean(dim=(0, 1)).float(), atol=1e-5, rtol=0)


def test_replaced_by_other_numbers(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor, clean: Tensor
) -> None:
    """Each row must get its own donor's numbers, those of the head and of the position."""
    by: Replacement = in_turn(family, ["dataset_mean", "resample"])
    donors = torch.randint(0, 300, (7, 16 + STEPS), generator=torch.Generator().manual_seed(12))
    outputs = inputs_of_projections(family, reference, donors[:, :-1])
    means = [part.mean(dim=(0, 1)) for part in outputs]
    found = by_layer(ablate_heads(checkpoint, context, clean, 4, by=by, means=means, donors=donors))
    for layer, continuation in found.items():
        for head in range(HEADS):
            values = means[layer] if by == "dataset_mean" else outputs[layer]
            replacement = HeadReplacement(checkpoint, layer, torch.full((7,), head), by, values, torch.arange(7))
            expected = continue_greedily(checkpoint, context, STEPS, 8, intervention=replacement)
            assert_same_but_near_ties(continuation, head, expected.tokens)
            torch.testing.assert_close(continuation.margin[:, head], expected.margin, atol=NEAR_TIE, rtol=0)


def test_bits_do_not_depend_on_shards_or_layers(
    family: str, checkpoint: Checkpoint, context: Tensor, clean: Tensor
) -> None:
    """Rows are traced and ablated in groups: the groups, the blocks and the other layers must leave no mark."""
    by: Replacement = in_turn(family, ["mean_of_others", "resample"])
    donors = torch.randint(0, 300, (7, 16 + STEPS), generator=torch.Generator().manual_seed(12))
    whole = by_layer(ablate_heads(checkpoint, context, clean, 4, by=by, donors=donors))
    for start, end, layers, block_batches in ((0, 3, [2], 1), (3, 7, [1, 2, 0], 2), (6, 7, [1], 4)):
        rows = slice(start, end)
        part = by_layer(
            ablate_heads(
                checkpoint,
                context[rows],
                clean[rows],
                4,
                by=by,
                donors=donors[rows],
                layers=layers,
                block_batches=block_batches,
            )
        )
        assert list(part) == layers
        for layer in layers:
            for found, expected in zip(part[layer], whole[layer], strict=True):
                assert torch.equal(found.nan_to_num(), expected[rows].nan_to_num())


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU passes have the usual number of rows")
def test_blocks_fill_passes_over_single_positions(
    checkpoint: Checkpoint, context: Tensor, clean: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks hold the rows of one full pass; branches keep keys and values for no more than one of theirs has."""
    blocks: list[int] = []
    branches: list[Branches] = []

    def seen(*arguments: Any, **keywords: Any) -> Continuation:
        blocks.append(keywords["block_batches"])
        branches.append(keywords["restart"].trace.branches)
        return continue_greedily(*arguments, **keywords)

    monkeypatch.setattr(ablation, "continue_greedily", seen)
    for batch_rows, batches, branch_rows in ((4, 160, 16), (320, 4, 640)):
        blocks.clear()
        list(ablate_heads(checkpoint, context[:2], clean[:2], batch_rows, layers=[0]))
        assert blocks == [batches]
        assert branches[-1].cache.capacity == branch_rows


def test_layers_below_are_run_once(
    checkpoint: Checkpoint, context: Tensor, clean: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the ablated layer and those above it run for each head; for those below it is enough to see tokens once."""
    monkeypatch.setattr(passes, "_bits_are_apart", lambda *_: False)
    ran: list[int] = []
    handles = [
        checkpoint.attention_output(layer).register_forward_hook(lambda *_, layer=layer: ran.append(layer))
        for layer in range(LAYERS)
    ]
    try:
        found = by_layer(ablate_heads(checkpoint, context[:4], clean[:4], 4, layers=[1, 2], block_batches=HEADS))
    finally:
        for handle in handles:
            handle.remove()
    traced = len(list(chunks(STEPS)))
    seen: set[tuple[int, tuple[int, ...]]] = set()
    batches: list[int] = []
    for layer in (2, 1):
        known = len(seen)
        continued = [(row, tokens.tolist()) for row in range(4) for tokens in found[layer].tokens[row]]
        for length in range(1, STEPS):
            branched = [
                (row, tuple(line[:length])) for row, line in continued if line[:length] != clean[row, :length].tolist()
            ]
            new = set(branched) - seen
            batches.append(-(-len(new) // 4))
            seen |= new
        assert len(seen) > known
    assert ran.count(0) == traced + sum(batches)
