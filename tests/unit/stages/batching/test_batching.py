"""The search for the batch size: what it tries, what it chooses, what it writes down."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from peers import DEVICE
from recite.checkpoints.loading import Checkpoint
from recite.engine.memory import predicted_bytes
from recite.errors import ReciteError
from recite.stages.batching import measure as batching
from recite.stages.batching.measure import choose, measure, search


def test_search_writes_what_it_saw(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """A rerun must find the batch size and what it was chosen for."""
    options = {"model": "x", "dtype": "float32", "context_tokens": 32, "continuation_tokens": 4}
    search(options, checkpoint_folder("openllama"), 10**9, tmp_path / "x.json", threads=1)
    written = json.loads((tmp_path / "x.json").read_text())
    speeds = {int(rows): speed for rows, speed in written["rows_per_second"].items()}
    assert written["batch_rows"] == choose(speeds)
    assert (written["device"], written["dtype"]) == (DEVICE, "float32")
    assert torch.cuda.is_available() or written["memory_limit_bytes"] == 10**9


def test_search_stops_at_the_memory_limit(checkpoint: Checkpoint) -> None:
    """No batch may be tried that would not fit."""
    limit = predicted_bytes(checkpoint, 32, 16, 4)
    assert max(measure(checkpoint, limit, 16, 4)) <= 32
    with pytest.raises(ReciteError, match=r"a batch of 8 rows takes .* give the job more memory"):
        measure(checkpoint, 1000, 16, 4)


def test_search_stops_where_memory_runs_out(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU whose memory another process holds: the sizes measured until then must do."""

    def full(*arguments: object) -> float:
        if len(arguments[1]) > 16:  # type: ignore[arg-type]
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1.0

    monkeypatch.setattr(batching, "_seconds", full)
    assert measure(checkpoint, 10**12, 16, 4) == {8: 8.0, 16: 16.0}


def test_choice() -> None:
    """A tenth of a per cent is not worth twice the memory."""
    assert choose({8: 50.0, 16: 99.0, 32: 100.0}) == 16
    assert choose({8: 50.0, 16: 90.0, 32: 100.0}) == 32
