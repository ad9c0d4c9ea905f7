"""The memory that batches are predicted to take, and memory that runs out."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.memory import halving, is_out_of_memory, predicted_bytes
from recite.errors import ReciteError

ROOT = Path(__file__).resolve().parents[3]

MEASURED_PEAKS = """
import os, re, sys, threading, time, torch
from pathlib import Path
from recite.engine.memory import predicted_bytes
from recite.checkpoints.loading import load_checkpoint
from recite.engine.continuation import continue_greedily

torch.set_num_threads(1)
folder, small = map(Path, sys.argv[1:3])

def own():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

def go(checkpoint, rows, batches):
    tokens = torch.randint(0, 300, (2, rows * batches, 32), generator=torch.Generator().manual_seed(0))
    continue_greedily(checkpoint, tokens[0], 16, rows, draft=tokens[1, :, :16], block_batches=batches)

def measure(rows, batches):
    before, peak, watching = own(), [0], True

    def watch():
        while watching:
            peak[0] = max(peak[0], own())
            time.sleep(0.002)

    thread = threading.Thread(target=watch)
    thread.start()
    checkpoint = load_checkpoint(folder, "float32", rows)
    go(checkpoint, rows, batches)
    watching = False
    thread.join()
    print((peak[0] - before) / predicted_bytes(checkpoint, rows, 32, 16, batches), flush=True)

go(load_checkpoint(small, "float32", 2), 2, 1)  # code is loaded once
for rows, batches in ((32, 1), (16, 4)):
    child = os.fork()  # each from the same memory
    if not child:
        measure(rows, batches)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's memory: make bench-gpu")
def test_peak_memory_is_as_predicted(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """A batch size that is chosen by a wrong formula kills the job, or leaves most of the memory idle."""
    config = transformers.LlamaConfig(
        vocab_size=16000,
        hidden_size=640,
        intermediate_size=1792,
        num_hidden_layers=10,
        num_attention_heads=10,
        num_key_value_heads=5,
        tie_word_embeddings=True,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED_PEAKS, str(tmp_path), str(checkpoint_folder("openllama"))],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    one_batch, four_batches = map(float, done.stdout.split())
    assert 0.85 <= one_batch <= 1.15
    assert 0.85 <= four_batches <= 1.15


def test_prediction_grows_with_what_it_counts(checkpoint: Checkpoint) -> None:
    """Keys and values of a block, and the weights, are exact numbers."""
    one, two = (predicted_bytes(checkpoint, 8, 32, 32, batches) for batches in (1, 2))
    caches = 2 * 3 * 8 * 63 * checkpoint.shared_heads * checkpoint.head_width * 4
    assert two - one == caches
    weights = sum(p.numel() for p in checkpoint.model.parameters()) * 4
    assert one > weights + caches


def test_halves_until_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    """Each halving is said, and the size that was used is handed back."""
    tried = []

    def call(rows: int) -> str:
        tried.append(rows)
        if rows > 10:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return "done"

    assert halving(call, 37) == ("done", 9)
    assert tried == [37, 18, 9]
    assert "37 rows do not fit into memory; going on with 18." in capsys.readouterr().out


def test_gives_up_at_one_row_and_on_other_errors() -> None:
    """A model that does not fit at all must not be tried for ever, and a mistake is not an empty memory."""

    def never(rows: int) -> None:
        raise MemoryError

    def wrong(rows: int) -> None:
        raise RuntimeError("size mismatch")

    with pytest.raises(ReciteError, match="not even one row fits"):
        halving(never, 4)
    with pytest.raises(RuntimeError, match="size mismatch"):
        halving(wrong, 4)


def test_halving_after_a_real_refusal(checkpoint: Checkpoint, context: torch.Tensor) -> None:
    """What the machine itself says when memory is refused must be understood, and the result be the same."""

    def call(rows: int) -> torch.Tensor:
        if rows > 8:
            torch.empty(2**60, dtype=torch.int8)
        return continue_greedily(checkpoint, context, 4, rows).tokens

    found, rows = halving(call, 16)
    assert rows == 8
    assert torch.equal(found, continue_greedily(checkpoint, context, 4, 8).tokens)
    assert not is_out_of_memory(RuntimeError("size mismatch"))
