"""What layers below an intervention make of tokens that left the traced ones, against passes of the plain model."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from recite.checkpoints.loading import Checkpoint
from recite.engine import passes
from recite.engine.activations import trace
from recite.engine.branches import Trace
from recite.engine.passes import CHUNK

PROMPT, STEPS, LAYERS = 32, CHUNK + 4, 3


@pytest.fixture
def traced(checkpoint: Checkpoint, context: Tensor) -> Trace:
    """A run over six rows with drafts at random."""
    return trace(checkpoint, context[:6], drafts(), 4)


def drafts() -> Tensor:
    """Tokens that are no model's choice; so are branches, which makes them easy to plan."""
    return torch.randint(0, 300, (6, STEPS), generator=torch.Generator().manual_seed(21))


def branched(context: Tensor, row: int, place: int, tokens: Sequence[int]) -> Tensor:
    """The traced tokens of a row up to a position, then others."""
    text = torch.cat([context[row], drafts()[row]])
    assert text[place] != tokens[0]
    return torch.cat([text[:place], torch.tensor(tokens)])


def followed(traced: Trace, context: Tensor, branches: Sequence[tuple[int, int, Sequence[int]]]) -> list[Tensor]:
    """Input of the layer at the last position of each branch; all are gone along from token to token, together."""
    found: dict[int, Tensor] = {}
    lines = [branched(context, *branch) for branch in branches]
    for end in range(PROMPT + 1, max(map(len, lines)) + 1):
        active = [index for index, line in enumerate(lines) if branches[index][1] < end <= len(line)]
        if active:
            rows, places = ([branches[index][part] for index in active] for part in (0, 1))
            tokens = torch.stack([lines[index][:end] for index in active])
            inputs = traced.branches.follow(rows, places, tokens)  # type: ignore[arg-type]
            found |= dict(zip(active, inputs[:, 0], strict=True))
    return [found[index].cpu() for index in range(len(branches))]


def expected(reference: PreTrainedModel, layer: int, line: Tensor) -> Tensor:
    """Input of a layer at the last position, by one whole pass."""
    with torch.inference_mode():
        states = reference(input_ids=line[None], output_hidden_states=True).hidden_states
    return states[layer][0, -1]


BRANCHES = [
    (0, 34, [5, 6, 7, 8]),
    (1, 34, [5, 6, 7, 8]),  # another row, the same place and tokens
    (0, 36, [5, 6, 7, 8]),  # the same row and tokens, another place
    (0, 34, [5, 6, 9]),  # a branch of a branch
    (0, 34, [5, 6, 7, 8]),  # the very same
    (5, 33, [1]),
    (2, 34, [5, 6, 7, 8]),
    (4, 40, [7, 7, 7]),
]


def test_inputs_equal_a_whole_pass(
    checkpoint: Checkpoint, reference: PreTrainedModel, traced: Trace, context: Tensor
) -> None:
    """Keys of another row, place or branch would give a head an input that its own tokens do not have."""
    for layer in (2, 1, 0, 2):
        traced.branches.prepare(layer, 8 * STEPS)
        for branch, found in zip(BRANCHES, followed(traced, context, BRANCHES), strict=True):
            line = branched(context, *branch)
            torch.testing.assert_close(found, expected(reference, layer, line), atol=1e-5, rtol=1e-5)


def test_tokens_are_run_once(
    checkpoint: Checkpoint, traced: Trace, context: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that is done again for every head is what the branches are there to save."""
    monkeypatch.setattr(passes, "_bits_are_apart", lambda *_: False)
    fed: list[int] = []
    handle = checkpoint.layers[0].register_forward_hook(lambda *_: fed.append(0))
    try:
        traced.branches.prepare(2, 8 * STEPS)
        followed(traced, context, BRANCHES)
        # One token more of each row a pass of up to four rows, at positions 33, 34, ... of which branches are new.
        assert len(fed) == sum(-(-new // 4) for new in (1, 3, 3, 5, 4, 1, 1, 1, 1, 1))
        fed.clear()
        traced.branches.prepare(1, 8 * STEPS)
        followed(traced, context, BRANCHES)
        assert not fed
        traced.branches.prepare(2, 8 * STEPS)
        followed(traced, context, BRANCHES)
        assert fed
    finally:
        handle.remove()


def test_forgets_what_is_too_much(traced: Trace, context: Tensor, reference: PreTrainedModel) -> None:
    """A model that nothing keeps on its course would fill the memory with branches."""
    for row in range(6):
        traced.branches.prepare(2, 8)
        branch = (row, 35, [5, 6, 7, 8])
        (found,) = followed(traced, context, [branch])
        torch.testing.assert_close(found, expected(reference, 2, branched(context, *branch)), atol=1e-5, rtol=1e-5)
        assert len(traced.branches.paths) <= 8
        buffers = [*traced.branches.inputs.values(), *sum(traced.branches.keys_values.values(), ())]
        assert max(map(len, buffers)) <= 8


def test_goes_on_with_what_was_forgotten(traced: Trace, context: Tensor, reference: PreTrainedModel) -> None:
    """Where there is no more room in the middle of a branch, its own beginning must be run again, and be the same."""
    traced.branches.prepare(2, 8)
    followed(traced, context, [(3, 34, [5, 6, 7, 8])])
    branches = [(0, 35, [5, 6, 7, 8]), (1, 34, [5, 6, 7, 8])]
    for branch, found in zip(branches, followed(traced, context, branches), strict=True):
        torch.testing.assert_close(found, expected(reference, 2, branched(context, *branch)), atol=1e-5, rtol=1e-5)
    assert {row for row, _, _ in traced.branches.paths} == {0, 1}
