"""How many rows a pass has: as many as there are where that is known to change no bit, the usual number where not."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from recite.checkpoints.loading import Checkpoint
from recite.engine import passes
from recite.engine.continuation import Continuation, continue_greedily
from recite.engine.passes import CHUNK, chunks, fitting_rows, last_hidden, pass_rows
from recite.kernels.attention import ATTENTION
from recite.kernels.key_values import KeyValues
from recite.stages.heads.measure.continuations import ablate_heads

STEPS = CHUNK + 4

cpu_only = pytest.mark.skipif(torch.cuda.is_available(), reason="a trial may find that on a GPU bits depend on rows")


@pytest.fixture
def forgotten(checkpoint: Checkpoint) -> Iterator[None]:
    """What trials of the model found is forgotten before and after."""
    passes._trials.pop(checkpoint.model, None)
    yield
    passes._trials.pop(checkpoint.model, None)


@pytest.fixture
def draft(checkpoint: Checkpoint, context: Tensor) -> Tensor:
    """Continuations of the rows of `context`, each wrong at a place of its own."""
    tokens = continue_greedily(checkpoint, context, STEPS, 8).tokens.clone()
    every = torch.arange(len(tokens))
    tokens[every, every % STEPS] = (tokens[every, every % STEPS] + 1) % 300
    return tokens


def everything(checkpoint: Checkpoint, context: Tensor, draft: Tensor) -> list[Continuation]:
    """Drafted rows, and head ablations with their restarts and branches."""
    drafted = continue_greedily(checkpoint, context, STEPS, 8, draft=draft, block_batches=3)
    context = context[:11]
    clean = continue_greedily(checkpoint, context, STEPS, 8).tokens
    ablations = ablate_heads(checkpoint, context, clean, 8, block_batches=4)
    return [drafted, *(ablation.continuation for ablation in ablations)]


def assert_same_bits(found: list[Continuation], expected: list[Continuation]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(one, other, strict=True))


def grows_with_rows(
    module: nn.Module, given: object, output: Tensor | tuple[Tensor, ...]
) -> Tensor | tuple[Tensor, ...]:
    """A layer whose output depends, a little, on how many rows there are."""
    hidden = output[0] if isinstance(output, tuple) else output
    moved = hidden * (1 + 1e-6 * len(hidden))
    return (moved, *output[1:]) if isinstance(output, tuple) else moved


@pytest.mark.parametrize("keep", [1, 3])
def test_last_layer_of_the_positions_that_matter(
    checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor, keep: int
) -> None:
    """Earlier positions leave keys and values and nothing else, and who looks into the layer still sees all."""
    widths: list[int] = []
    attention = AttentionInterface()[ATTENTION]

    def counted(module: nn.Module, query: Tensor, *arguments: Any, **named: Any) -> Any:
        widths.append(query.shape[2])
        return attention(module, query, *arguments, **named)

    def run(cache: KeyValues) -> Tensor:
        parts = []
        for start, end in ((0, 20), (20, 31)):
            cache.start = start
            parts.append(last_hidden(checkpoint, context[:, start:end].to(checkpoint.model.device), cache, keep))
        assert cache.start == 20
        return torch.cat(parts, dim=1).cpu()

    short, whole = KeyValues(*context.shape), KeyValues(*context.shape)
    AttentionInterface.register(ATTENTION, counted)
    try:
        with torch.inference_mode():
            found = run(short)
            assert widths == [20, 20, keep, 11, 11, keep]
            seen: list[int] = []
            inside = checkpoint.attention_output(-1)
            handle = inside.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[1]))
            expected = run(whole)
            handle.remove()
    finally:
        AttentionInterface.register(ATTENTION, attention)
    assert seen == [20, 11]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    states = hidden_of(reference, context)
    torch.testing.assert_close(found[:, :keep], states[:, 20 - keep : 20], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, keep:], states[:, 31 - keep : 31], atol=1e-4, rtol=0)
    for layer, kept in short.layers.items():
        for buffer, other in zip(kept, whole.layers[layer], strict=True):
            torch.testing.assert_close(buffer, other, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def hidden_of(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    """What the plain model's unembedding is given, (rows, positions, width)."""
    return model.base_model(input_ids=tokens, use_cache=False).last_hidden_state


@cpu_only
@pytest.mark.usefixtures("forgotten")
def test_bits_are_those_of_the_usual_passes(
    checkpoint: Checkpoint, context: Tensor, draft: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are not filled up, or share a larger pass, must come out as if there were no such thing."""
    found = everything(checkpoint, context, draft)
    assert passes._trials[checkpoint.model]
    monkeypatch.setattr(passes, "_bits_are_apart", lambda *_: False)
    assert_same_bits(found, everything(checkpoint, context, draft))


@cpu_only
@pytest.mark.usefixtures("forgotten")
def test_a_trial_that_fails_keeps_the_usual_rows(checkpoint: Checkpoint, context: Tensor, draft: Tensor) -> None:
    """On a machine whose kernels mind the number of rows, a row's result must still not depend on the shard."""
    seen: set[int] = set()
    first = checkpoint.layers[0]
    handles = [first.register_forward_hook(grows_with_rows)]
    try:
        assert fitting_rows(checkpoint, 8, 1, 1, 3, 8) == 8
        assert not any(passes._trials[checkpoint.model].values())
        for fed, keep in ((CHUNK, CHUNK), (CHUNK - 1, CHUNK - 1), (32, 1), (STEPS - CHUNK, STEPS - CHUNK)):
            fitting_rows(checkpoint, 8, fed, keep, 3, 8)
        fitting_rows(checkpoint, 8, 1, 1, 3, 24)
        handles.append(first.register_forward_hook(lambda _, given, __: seen.add(len(given[0]))))
        whole = continue_greedily(checkpoint, context, STEPS, 8, draft=draft, block_batches=3)
        for start, end in ((0, 1), (1, 12), (12, 23)):
            part = continue_greedily(checkpoint, context[start:end], STEPS, 8, draft=draft[start:end])
            assert_same_bits([part], [Continuation(*(tensor[start:end] for tensor in whole))])
    finally:
        for handle in handles:
            handle.remove()
    assert seen == {8}


@cpu_only
@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("place", ["first layer", "last layer", "last slice"])
def test_a_trial_runs_every_shape(checkpoint: Checkpoint, place: str) -> None:
    """A layer or a slice that is never tried may be the one whose kernels mind the number of rows."""
    minding = {"first layer": checkpoint.attention_output(0), "last layer": checkpoint.attention_output(-1)}
    handle = minding.get(place, checkpoint.unembedding[-1]).register_forward_hook(grows_with_rows)
    try:
        assert fitting_rows(checkpoint, 8, 1, 1, 3, 8) == 8
    finally:
        handle.remove()


@pytest.mark.parametrize("steps", [1, 2, CHUNK, CHUNK + 1, 32])
def test_chunks(steps: int) -> None:
    """Each token is checked once, in order, and a row that fails at once has wasted nothing."""
    found = list(chunks(steps))
    assert [token for chunk in found for token in chunk] == list(range(steps))
    assert len(found[0]) == 1 and max(map(len, found)) <= CHUNK
    assert all(chunk.stop % CHUNK == 0 for chunk in found[1:-1])


@cpu_only
@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("apart", [True, False])
def test_rows_that_fit(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, apart: bool) -> None:
    """Every row is in a pass; fewer than a unit a pass are wasted; no pass is larger than its memory was reckoned."""
    tried: set[tuple[int, ...]] = set()

    def trial(_: Checkpoint, *key: int) -> bool:
        tried.add(key)
        return apart

    monkeypatch.setattr(passes, "_try", trial)
    for batch_rows, most in ((64, 64), (64, 256), (8, 32), (6, 6), (23, 92), (1, 4), (512, 2048)):
        for fed in (1, CHUNK, 39):
            usual = pass_rows(checkpoint, batch_rows, fed)
            for count in (1, 2, 15, 64, 65, 200):
                rows = fitting_rows(checkpoint, batch_rows, fed, min(fed, CHUNK), count, most)
                if rows == usual:
                    continue
                assert apart and tried
                unit = usual // 4 if usual % 4 == 0 else usual
                assert rows % unit == 0
                assert rows <= (usual if fed > 1 else max(usual, min(most, 640)))
                number = -(-count // rows)
                assert number <= -(-count // usual)
                assert number * rows - count < number * unit
    assert (fitting_rows(checkpoint, 64, 1, 1, 200, 256), fitting_rows(checkpoint, 64, 1, 1, 30, 64)) == (
        (208, 32) if apart else (64, 64)
    )


def test_rows_of_one_position_are_many_on_a_gpu() -> None:
    """There the launch of a small pass costs more than the pass; those over several positions are as large as ever."""
    gpu = cast(Checkpoint, SimpleNamespace(model=SimpleNamespace(device=torch.device("cuda"))))
    assert [passes.largest_rows(gpu, 128, fed, 1000) for fed in (1, 2, CHUNK, 40)] == [992, 128, 128, 128]
    assert passes.largest_rows(gpu, 128, 1, 64) == 128


@cpu_only
@pytest.mark.usefixtures("forgotten")
def test_a_trial_is_made_once_and_leaves_nothing(checkpoint: Checkpoint) -> None:
    """A trial at every pass would cost more than it saves; a layer left out would be another model."""
    ran: list[int] = []
    handle = checkpoint.layers[0].register_forward_hook(lambda *_: ran.append(0))
    try:
        fitting_rows(checkpoint, 8, 1, 1, 3, 8)
        once = len(ran)
        fitting_rows(checkpoint, 8, 1, 1, 5, 8)
    finally:
        handle.remove()
    assert 0 < once == len(ran)
    assert not any("forward" in layer.__dict__ for layer in checkpoint.layers)
