"""Compressibility against one generation of transformers' own for every suffix length."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from peers import generate
from recite.checkpoints.loading import Checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.passes import CHUNK
from recite.engine.rows import Rows
from recite.errors import ReciteError
from recite.stages.compressibility.measure import Recited, shorten, sufficient_suffixes, suffix_columns
from recite.stages.compressibility.rows import SUFFIXES
from recite.stages.scoring.rows import SCORES
from recite.tables import read_metadata
from samples import write_shard
from turns import in_turn

LENGTH, STEPS = 10, CHUNK + 2
SHARES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
"""Inclusion probabilities of the rows."""
NEAR_TIE = 1e-4
BOS = 0


class Planted(NamedTuple):
    """Rows and what each suffix length leads to: (rows, lengths), and where that is not a near-tie."""

    context: Tensor
    continuation: Tensor
    sufficient: Tensor
    sure: Tensor


def planted(checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor, bos: int | None) -> Planted:
    """Nine rows that the model continues so from all tokens, from the last three, and not at all, three of each."""
    context = context[:9, :LENGTH]
    start = context[:, :0] if bos is None else torch.full((9, 1), bos)
    inputs = [torch.cat([start, context[:, LENGTH - length :]], dim=1) for length in range(1, LENGTH + 1)]
    generated = [generate(reference, tokens, STEPS) for tokens in inputs]
    margins = [continue_greedily(checkpoint, tokens, STEPS, 4).margin for tokens in inputs]
    continuation = torch.randint(0, 300, (9, STEPS), generator=torch.Generator().manual_seed(4))
    continuation[0:3] = generated[LENGTH - 1][0:3]
    continuation[3:6] = generated[2][3:6]
    continuation[7] = generated[5][7]
    continuation[7, -1] = (continuation[7, -1] + 1) % 300
    sufficient = torch.stack([(tokens == continuation).all(dim=1) for tokens in generated], dim=1)
    return Planted(context, continuation, sufficient, torch.stack(margins, dim=1) >= NEAR_TIE)


def test_equals_a_generation_for_every_length(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor
) -> None:
    """A suffix cut at the wrong end, without its BOS, or dropped too early would look insufficient."""
    bos = in_turn(family, [None, BOS])
    rows = planted(checkpoint, reference, context, bos)
    found = sufficient_suffixes(checkpoint, rows.context, rows.continuation, 4, bos)
    assert found.shape == (9, LENGTH)
    assert rows.sure.float().mean() > 0.95
    assert torch.equal(found[rows.sure], rows.sufficient[rows.sure])
    assert rows.sufficient[0:3, -1].all() and rows.sufficient[3:6, 2].all()
    assert not rows.sufficient[3:6, -1].all() and not rows.sufficient[6:].any()


def test_shards_change_nothing(checkpoint: Checkpoint, context: Tensor) -> None:
    """A row must not depend on the rows beside it."""
    context = context[:9, :LENGTH]
    continuation = continue_greedily(checkpoint, context[:, -3:], STEPS, 4).tokens
    whole = sufficient_suffixes(checkpoint, context, continuation, 4)
    assert whole[:, 2].sum() >= 8
    for start, end in ((0, 1), (1, 9)):
        part = sufficient_suffixes(checkpoint, context[start:end], continuation[start:end], 4)
        assert torch.equal(part, whole[start:end])


def write_part(folder: Path, rows: Rows, hits: list[int], name: str = "part") -> dict[str, Any]:
    """A sample shard and a scores part of the rows, as the arguments of `shorten`."""
    folder.mkdir(parents=True, exist_ok=True)
    shard = write_shard(folder / "shard.parquet", rows)
    columns = {
        "row_id": rows.ids,
        "sequence_id": rows.sequences,
        "domain": rows.domains,
        "inclusion_probability": rows.probabilities,
        "hits": hits,
        "first_mismatch": hits,
        "generated": rows.continuation.tolist(),
        "margin": [1.0] * len(hits),
    }
    made = {"parameters": 7, "weights_sha256": "ab", "device": "cpu", "dtype": "float32", "continuation_tokens": STEPS}
    SCORES.write(folder / "scores.parquet", columns, made)
    return {
        "scores": folder / "scores.parquet",
        "shards": [shard],
        "suffixes": folder / f"{name}.parquet",
        "threads": 1,
    }


def job(family: str, bos: int | None = None) -> dict[str, Any]:
    return {"model": f"{family}-test", "family": family, "bos": bos, "dtype": "float32", "batch_rows": 4}


def test_the_stage_shortens_what_is_recited_whole(
    tmp_path: Path, family: str, checkpoint: Checkpoint, checkpoint_folder: Any, context: Tensor
) -> None:
    """Prevents rows that are not memorized, a text run for each of its rows, a lost BOS, and bits in another order."""
    bos = in_turn(family, [None, BOS])
    context = context[:6, :LENGTH].clone()
    context[5] = context[0]
    start = context[:, :0] if bos is None else torch.full((6, 1), bos)
    continuation = continue_greedily(checkpoint, torch.cat([start, context], dim=1), STEPS, 4).tokens
    rows = Rows([10, 11, 12, 13, 14, 15], [1, 2, 3, 4, 5, 1], ["code"] * 6, SHARES, context, continuation)
    folder = checkpoint_folder(family)
    part = write_part(tmp_path, rows, [STEPS, STEPS - 1, STEPS, STEPS, 0, STEPS])
    shorten(job(family, bos), checkpoint=folder / "model.safetensors", **part)
    table = SUFFIXES.read(part["suffixes"]).to_pydict()
    assert (table["row_id"], table["sequence_id"]) == ([10, 12, 13, 15], [1, 3, 4, 1])
    assert table["inclusion_probability"] == [SHARES[place] for place in (0, 2, 3, 5)]
    alone = sufficient_suffixes(checkpoint, context[[0, 2, 3]], continuation[[0, 2, 3]], 4, bos)
    for place, row in ((0, 0), (1, 1), (2, 2), (3, 0)):
        bits = [bool(table["mask"][place] >> bit & 1) for bit in range(LENGTH)]
        assert bits == [*alone[row, :-1].tolist(), True]
        assert table["shortest"][place] == 1 + bits.index(True)
    made = read_metadata(part["suffixes"])
    assert (made["texts"], made["batch_rows"], made["context_tokens"]) == (3, 4, LENGTH)
    assert made["parameters"] == checkpoint.parameters


def test_the_whole_context_suffices_by_definition() -> None:
    """Prevents a near-tie in the checking pass from leaving a memorized row without any sufficient suffix."""
    domains = pa.array(["a", "a"]).dictionary_encode()
    rows = pa.table({"row_id": [1, 2], "sequence_id": [1, 2], "domain": domains, "inclusion_probability": [0.5, 0.5]})
    recited = Recited(rows, np.array([1, 0]), torch.zeros(2, 3), torch.zeros(2, 3))
    columns = suffix_columns(recited, np.array([[False, True, False], [False, False, False]]))
    assert columns["mask"].to_pylist() == [0b100, 0b110]
    assert columns["shortest"].to_pylist() == [3, 2]


def test_nothing_recited_needs_no_model(tmp_path: Path, context: Tensor) -> None:
    """Prevents a model of many gigabytes from being loaded for nothing, and a part without rows from failing."""
    continuation = torch.zeros(3, STEPS, dtype=torch.int64)
    rows = Rows([1, 2, 3], [1, 2, 3], ["code"] * 3, SHARES[:3], context[:3, :LENGTH], continuation)
    part = write_part(tmp_path, rows, [0, 1, STEPS - 1])
    shorten(job("pythia"), checkpoint=tmp_path / "nowhere" / "model.safetensors", **part)
    assert len(SUFFIXES.read(part["suffixes"])) == 0
    made = read_metadata(part["suffixes"])
    assert (made["parameters"], made["texts"], made["near_ties"]) == (7, 0, 0)


def test_scores_of_other_rows(tmp_path: Path, context: Tensor) -> None:
    """Prevents contexts from being taken from rows that are not those that were scored."""
    continuation = torch.zeros(2, STEPS, dtype=torch.int64)
    rows = Rows([1, 2], [1, 2], ["code"] * 2, SHARES[:2], context[:2, :LENGTH], continuation)
    part = write_part(tmp_path, rows, [STEPS, STEPS])
    write_shard(tmp_path / "shard.parquet", rows._replace(ids=[2, 1]))
    with pytest.raises(ReciteError, match=r"scores\.parquet scores other rows than its samples hold; delete it"):
        shorten(job("pythia"), checkpoint=tmp_path / "model.safetensors", **part)
