"""Passes that are recorded and replayed against the same passes run plainly, on a CPU.

What a recording stands for there is the function called again, or, as with a CUDA graph, the operations that were seen
while it ran once: these are traced by torch.fx, and what Python decided then is decided for good.
"""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from recite.checkpoints.loading import Checkpoint
from recite.engine.activations import trace
from recite.engine.branches import Restart
from recite.engine.continuation import Continuation, continue_greedily
from recite.engine.interventions.heads import HeadReplacement, Replacement
from recite.engine.passes import _graphs, keeping_recordings
from recite.kernels import graphs
from recite.kernels.graphs import Function, _Recording, recording

STEPS, BATCH = 6, 4
TRACED = 2
"""Passes that are traced in a test, which takes long; the others are called plainly."""


def operations(function: Function, inputs: list[Tensor]) -> _Recording:
    """What a CUDA graph keeps: the operations, on the tensors that they were run on."""
    module = make_fx(function)(*inputs)
    outputs = tuple(output.clone() for output in module(*inputs))

    def replay() -> None:
        for own, made in zip(outputs, module(*inputs), strict=True):
            own.copy_(made)

    return _Recording(inputs, outputs, replay)


@pytest.fixture(params=["called", "operations"])
def recorded(
    request: pytest.FixtureRequest, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[], Continuation]], Continuation]]:
    """Runs a call with passes recorded at once; some of them must have been."""
    monkeypatch.setattr(graphs, "PLAIN_CALLS", 0)
    if request.param == "operations":
        monkeypatch.setattr(graphs, "called", operations)
        monkeypatch.setattr(graphs, "MOST", TRACED)

    def run(call: Callable[[], Continuation]) -> Continuation:
        with recording(True):
            found = call()
        assert _graphs[checkpoint.model].known
        return found

    with keeping_recordings(checkpoint):
        yield run
    assert not _graphs.pop(checkpoint.model).known


def assert_equal(found: Continuation, expected: Continuation) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.nan_to_num(), other.nan_to_num())


def test_steps(checkpoint: Checkpoint, context: Tensor, recorded: Callable[..., Continuation]) -> None:
    """Blocks after the first, and other rows in a later call, see nothing of those that were recorded."""
    for rows in (context, context.flip(0), context[:7]):

        def call(rows: Tensor = rows) -> Continuation:
            return continue_greedily(checkpoint, rows, STEPS, BATCH)

        assert_equal(recorded(call), call())


def test_drafts_that_fail(checkpoint: Checkpoint, context: Tensor, recorded: Callable[..., Continuation]) -> None:
    """Rows beyond those that step fill the window, and must keep their own keys and values."""
    clean = continue_greedily(checkpoint, context, STEPS, BATCH).tokens
    for seed in (1, 2):
        wrong = torch.rand(clean.shape, generator=torch.Generator().manual_seed(seed)) < 0.15
        draft = torch.where(wrong, (clean + 1) % 300, clean)

        def call(draft: Tensor = draft) -> Continuation:
            return continue_greedily(checkpoint, context, STEPS, BATCH, draft=draft, block_batches=3)

        found = recorded(call)
        assert_equal(found, call())
        assert torch.equal(found.tokens, clean)


@pytest.mark.parametrize("by", ["mean_of_others", "zero", "dataset_mean"])
def test_ablated_passes(
    checkpoint: Checkpoint, context: Tensor, recorded: Callable[..., Continuation], by: Replacement
) -> None:
    """Of a layer's heads, then of another layer's, then of the first layer's again with other rows and means."""
    clean = continue_greedily(checkpoint, context, STEPS, BATCH).tokens
    left = 0
    for turn, layer in enumerate((2, 0, 2)):
        rows = torch.arange(len(context)).roll(turn)
        traced = trace(checkpoint, context[rows], clean[rows], BATCH)
        heads = (rows + turn) % checkpoint.heads
        width = checkpoint.heads * checkpoint.head_width
        means = torch.randn(width, generator=torch.Generator().manual_seed(turn)) if by == "dataset_mean" else None

        def call() -> Continuation:
            return continue_greedily(
                checkpoint,
                context[rows],  # noqa: B023
                STEPS,
                BATCH,
                draft=clean[rows],  # noqa: B023
                intervention=HeadReplacement(checkpoint, layer, heads, by, means),  # noqa: B023
                restart=Restart(traced, layer, torch.arange(len(rows))),  # noqa: B023
                block_batches=3,
            )

        found = recorded(call)
        assert_equal(found, call())
        left += int((found.first_mismatch < STEPS).sum())
    assert left > 0


def test_what_cannot_be_recorded(
    checkpoint: Checkpoint, context: Tensor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One note, and the same tokens; also where a replay gives others than the pass did."""

    def refused(function: Function, inputs: list[Tensor]) -> _Recording:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    def wrong(function: Function, inputs: list[Tensor]) -> _Recording:
        outputs = tuple(torch.zeros_like(output) for output in function(*inputs))
        return _Recording(inputs, outputs, lambda: None)

    expected = continue_greedily(checkpoint, context, STEPS, BATCH)
    _graphs.pop(checkpoint.model, None)
    monkeypatch.setattr(graphs, "PLAIN_CALLS", 1)
    for made, words in ((refused, "operation not permitted when stream is capturing"), (wrong, "gives other bits")):
        monkeypatch.setattr(graphs, "called", made)
        with recording(True):
            for _ in range(2):
                assert_equal(continue_greedily(checkpoint, context, STEPS, BATCH), expected)
        said = capsys.readouterr().out
        assert said.count("passes are not recorded as graphs") == 1 and words in said
        del _graphs[checkpoint.model]


def test_nothing_is_recorded_of_a_model_that_is_watched(checkpoint: Checkpoint, context: Tensor) -> None:
    """A hook from outside is called at every pass, which a replayed one would not do."""
    seen: list[int] = []
    layer = checkpoint.layers[1]
    with recording(True), layer.register_forward_hook(lambda *_: seen.append(1)):
        continue_greedily(checkpoint, context[:BATCH], STEPS, BATCH)
    assert len(seen) == STEPS and checkpoint.model not in _graphs


def test_no_recording_on_a_cpu_unless_asked(checkpoint: Checkpoint, context: Tensor) -> None:
    continue_greedily(checkpoint, context[:BATCH], STEPS, BATCH)
    assert checkpoint.model not in _graphs
