"""Scores against a brute-force loop written here from model.forward."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from peers import DEVICE, logits_of
from recite.checkpoints.loading import Checkpoint
from recite.corpora.tables.samples import SAMPLES
from recite.engine.rows import Rows, continue_rows
from recite.engine.scores import score_columns
from recite.errors import ReciteError
from recite.files import sha256_file, write_json
from recite.stages.noise.measure import score_under_noise
from recite.stages.noise.rows import NOISE_SCORES
from recite.stages.scoring.measure import score
from recite.stages.scoring.rows import SCORES
from recite.tables import read_metadata
from turns import in_turn

STEPS = 16
BOS = 0


def options(family: str, bos: bool = False) -> dict[str, Any]:
    """Scoring options of a job."""
    return {
        "model": f"{family}-test",
        "family": family,
        "bos": BOS if bos else None,
        "batch_rows": 8,
        "dtype": "float32",
    }


def brute_force(checkpoint: Checkpoint, context: Tensor, steps: int) -> Tensor:
    """Greedy continuation by whole forward passes over the growing text: no cache, no batch."""
    rows = []
    with torch.inference_mode():
        for row in context:
            tokens = row
            for _ in range(steps):
                tokens = torch.cat([tokens, logits_of(checkpoint.model, tokens[None])[0, -1].argmax()[None]])
            rows.append(tokens[len(row) :])
    return torch.stack(rows)


def planted_rows(checkpoint: Checkpoint, context: Tensor, bos: bool) -> tuple[Rows, list[int], list[int]]:
    """Rows whose continuation is the model's own with the first k tokens broken, k = 0 to STEPS, and their truth.

    Row k has STEPS - k hits; its first mismatch is 0, or STEPS for the unbroken one.
    """
    context = context[: STEPS + 1]
    start = torch.cat([torch.full_like(context[:, :1], BOS), context], dim=1) if bos else context
    continuation = brute_force(checkpoint, start, STEPS)
    for broken in range(len(continuation)):
        continuation[broken, :broken] = (continuation[broken, :broken] + 1) % checkpoint.model.config.vocab_size
    ids = list(range(len(context)))
    rows = Rows(ids, ids, ["prose"] * len(context), [0.5] * len(context), context, continuation)
    hits = [STEPS - broken for broken in range(len(context))]
    first = [0 if broken else STEPS for broken in range(len(context))]
    return rows, hits, first


def test_hits_equal_planted_truth(family: str, checkpoint: Checkpoint, context: Tensor) -> None:
    """A shifted comparison, a lost BOS or a wrong cache would change the known number of hits."""
    bos = in_turn(family, [False, True])
    rows, hits, first = planted_rows(checkpoint, context, bos)
    columns = score_columns(rows, continue_rows(checkpoint, rows, options(family, bos), 8)[0])
    sure = np.array(columns["margin"]) >= 1e-4
    assert sure.mean() > 0.8
    assert np.array_equal(np.array(columns["hits"])[sure], np.array(hits)[sure])
    assert np.array_equal(np.array(columns["first_mismatch"])[sure], np.array(first)[sure])


def write_shard(path: Path, rows: Rows) -> Path:
    """A sample shard of these rows."""
    count = len(rows.ids)
    columns = {
        "row_id": rows.ids,
        "sequence_id": rows.sequences,
        "domain": rows.domains,
        "document_id": [str(row) for row in rows.ids],
        "source_file": ["file"] * count,
        "source_row": rows.ids,
        "window_start": [0] * count,
        "text": [b"text"] * count,
        "context_bytes": [2] * count,
        "context": rows.context.tolist(),
        "continuation": rows.continuation.tolist(),
        "inclusion_probability": rows.probabilities,
    }
    SAMPLES.write(path, columns, {})
    return path


def random_rows(context: Tensor, vocabulary: int = 300) -> Rows:
    """Rows with a random continuation."""
    continuation = torch.randint(0, vocabulary, (len(context), STEPS), generator=torch.Generator().manual_seed(8))
    ids = list(range(len(context)))
    sequences, probabilities = [row % 7 for row in ids], [1 / (1 + row) for row in ids]
    return Rows(ids, sequences, ["prose"] * len(context), probabilities, context, continuation)


def part_of(rows: Rows, start: int, end: int) -> Rows:
    """Some of the rows."""
    return Rows(*(column[start:end] for column in rows))


def test_files_do_not_depend_on_shards(tmp_path: Path, family: str, checkpoint_folder: Any, context: Tensor) -> None:
    """One shard or three, twice or once: the scores file must have the same bytes."""
    rows = random_rows(context)
    one = [write_shard(tmp_path / "all.parquet", rows)]
    three = [write_shard(tmp_path / f"{a}.parquet", part_of(rows, a, b)) for a, b in ((0, 5), (5, 6), (6, 23))]
    digests = set()
    for name, shards in (("one", one), ("again", one), ("three", three)):
        score(options(family), shards, checkpoint_folder(family), None, tmp_path / name, threads=1)
        digests.add(sha256_file(tmp_path / name))
    assert len(digests) == 1
    written = SCORES.read(tmp_path / "one")
    assert written["row_id"].to_pylist() == rows.ids
    assert written["sequence_id"].to_pylist() == rows.sequences
    assert written["inclusion_probability"].to_pylist() == rows.probabilities
    made = read_metadata(tmp_path / "one")
    assert made["weights_sha256"] == sha256_file(checkpoint_folder(family) / "model.safetensors")
    assert made["dtype"] == "float32" and made["device"] == DEVICE and made["continuation_tokens"] == STEPS
    assert made["options"]["batch_rows"] == made["batch_rows"] == 8


def test_noise_scores(tmp_path: Path, family: str, checkpoint_folder: Any, context: Tensor) -> None:
    """Strength zero must equal the clean scores in every column; a large strength must not."""
    shard = write_shard(tmp_path / "all.parquet", random_rows(context))
    folder = checkpoint_folder(family)
    score(options(family), [shard], folder, None, tmp_path / "clean", threads=1)
    noise = {"noise": {"seed": 1, "layer": 0, "rms": "token", "positions": "prompt"}}
    for alpha in (0.0, 0.5):
        score_under_noise(options(family) | noise, alpha, [shard], folder, None, tmp_path / f"{alpha}", threads=1)
    clean = SCORES.read(tmp_path / "clean")
    assert NOISE_SCORES.read(tmp_path / "0.0").drop_columns("alpha").equals(clean)
    noisy = NOISE_SCORES.read(tmp_path / "0.5")
    assert noisy["alpha"].to_pylist() == [0.5] * 23
    assert not noisy["generated"].equals(clean["generated"])


def test_missing_layer(tmp_path: Path, checkpoint_folder: Any, context: Tensor) -> None:
    """A layer beyond the model must be named, not end in an index error."""
    shard = write_shard(tmp_path / "all.parquet", random_rows(context))
    folder = checkpoint_folder("pythia")
    noise = {"noise": {"seed": 1, "layer": 3, "rms": "token", "positions": "prompt"}}
    with pytest.raises(ReciteError, match=r"pythia-test has 3 layers, noise.layers has 3"):
        score_under_noise(options("pythia") | noise, 0.1, [shard], folder, None, tmp_path / "x", 1)


def test_measured_batch_size(tmp_path: Path, checkpoint_folder: Any, context: Tensor) -> None:
    """With batch_rows auto the measured size is used, and the scores are those of that size."""
    shard, folder = write_shard(tmp_path / "all.parquet", random_rows(context)), checkpoint_folder("pythia")
    write_json(tmp_path / "batch.json", {"batch_rows": 8})
    auto = options("pythia") | {"batch_rows": "auto"}
    score(auto, [shard], folder, tmp_path / "batch.json", tmp_path / "auto", threads=1)
    score(options("pythia"), [shard], folder, None, tmp_path / "fixed", threads=1)
    assert read_metadata(tmp_path / "auto")["batch_rows"] == 8
    assert SCORES.read(tmp_path / "auto").equals(SCORES.read(tmp_path / "fixed"))


def test_foreign_tokens(tmp_path: Path, checkpoint_folder: Any, context: Tensor) -> None:
    """A sample drawn with another tokenizer must be refused, not crash in an embedding."""
    shard = write_shard(tmp_path / "all.parquet", random_rows(context, vocabulary=1000))
    with pytest.raises(ReciteError, match=r"pythia-test has 300 tokens, but its sample holds token \d+"):
        score(options("pythia"), [shard], checkpoint_folder("pythia"), None, tmp_path / "x", threads=1)


def test_truncated_shard(tmp_path: Path, checkpoint_folder: Any, context: Tensor) -> None:
    """Half a shard must be named and nothing written."""
    shard = write_shard(tmp_path / "all.parquet", random_rows(context))
    shard.write_bytes(shard.read_bytes()[:500])
    with pytest.raises(ReciteError, match=r"all.parquet is not a whole Parquet file .* delete it and run again"):
        score(options("pythia"), [shard], checkpoint_folder("pythia"), None, tmp_path / "x", threads=1)
    assert not (tmp_path / "x").exists()
