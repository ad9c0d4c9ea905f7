"""Layer decoding against the model's own logits, hidden states of transformers, and counts by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import entropy, rankdata
from torch import Tensor
from transformers import PreTrainedModel

from peers import logits_of
from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.decoding import Decoded, decode
from recite.engine.passes import CHUNK
from recite.engine.rows import Rows
from recite.errors import ReciteError
from recite.kernels import packing
from recite.kernels.logits import BLOCK
from recite.stages.lens.layers import decoded_layers
from recite.stages.lens.measure import decode_layers
from recite.stages.lens.rows import AMOUNTS, COUNTS, DECODED, DECODED_POSITIONS
from recite.stages.scoring.rows import SCORES
from recite.tables import read_metadata
from recite.tables.lists import as_array
from samples import write_shard

LAYERS, STEPS = 3, CHUNK + 3
"""Layers of the models of conftest.py; a continuation that is no multiple of what is unembedded at once."""


def decoded(checkpoint: Checkpoint, text: Tensor, batch_rows: int = 8) -> Decoded:
    """All rows together."""
    parts = [part for _, part in decode(checkpoint, text, STEPS, batch_rows)]
    return Decoded(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def own_logits(model: PreTrainedModel, text: Tensor) -> Tensor:
    """What the model itself says of the last STEPS tokens."""
    return logits_of(model, text[:, :-1])[:, -STEPS:].float()


def test_last_layer_is_the_model(checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor) -> None:
    """A final norm taken twice, as on the last of HF's hidden states, or left out, would give other logits."""
    found = decoded(checkpoint, context)
    logits = own_logits(reference, context)
    true = context[:, -STEPS:, None]
    expected = logits.log_softmax(-1).gather(-1, true).squeeze(-1)
    torch.testing.assert_close(found.log_probability[:, -1], expected, atol=2e-5, rtol=0)
    top = logits.topk(2, dim=-1).values
    sure = top[..., 0] - top[..., 1] > 1e-4
    assert sure.float().mean() > 0.9
    assert torch.equal(found.choice[:, -1][sure], logits.argmax(-1)[sure])


def test_every_layer_by_brute_force(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor
) -> None:
    """Ranks by sorting, entropies by scipy, from the hidden states of transformers below the last."""
    found = decoded(checkpoint, context)
    architecture = ARCHITECTURES[family]
    with torch.inference_mode():
        states = reference(input_ids=context[:, :-1], use_cache=False, output_hidden_states=True).hidden_states
        layers = [
            reference.get_submodule(architecture.unembedding)(reference.get_submodule(architecture.final_norm)(state))
            for state in states[1:-1]
        ]
    layers.append(own_logits(reference, context))
    true = context[:, -STEPS:].numpy()
    for layer, logits in enumerate(layers):
        logs = log_softmax(logits[:, -STEPS:].double().numpy(), axis=-1)
        wanted = np.take_along_axis(logs, true[..., None], axis=-1)[..., 0]
        np.testing.assert_allclose(found.log_probability[:, layer], wanted, atol=5e-5)
        np.testing.assert_allclose(found.entropy[:, layer], entropy(np.exp(logs), axis=-1), atol=5e-5)
        ranks = np.take_along_axis(rankdata(-logs, axis=-1), true[..., None], axis=-1)[..., 0]
        assert (found.rank[:, layer].numpy() == ranks).mean() > 0.98
        assert np.abs(found.rank[:, layer].numpy() - ranks).max() <= 1  # a near-tie
        assert (found.choice[:, layer].numpy() == logs.argmax(axis=-1)).mean() > 0.98
    assert not torch.equal(found.choice[:, 0], found.choice[:, -1])


@pytest.mark.skipif(torch.cuda.is_available(), reason="the unembedding is sliced on a CPU")
def test_vocabulary_in_slices(
    family: str,
    checkpoint: Checkpoint,
    checkpoint_folder: Callable[[str], Path],
    context: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Models of the tests have one slice; those of the study have several, and the last is another size."""
    monkeypatch.setattr(packing, "SLICE", BLOCK)
    sliced = load_checkpoint(checkpoint_folder(family), "float32", 8)
    assert [part.out_features for part in sliced.unembedding] == [128, 128, 44]
    found, whole = decoded(sliced, context), decoded(checkpoint, context)
    torch.testing.assert_close(found.log_probability, whole.log_probability, atol=5e-5, rtol=0)
    torch.testing.assert_close(found.entropy, whole.entropy, atol=5e-5, rtol=0)
    assert (found.rank == whole.rank).float().mean() > 0.98 and (found.rank - whole.rank).abs().max() <= 1
    assert (found.choice == whole.choice).float().mean() > 0.98


@pytest.mark.parametrize("layers", [[0], [0, 2], [1]])
def test_some_layers(checkpoint: Checkpoint, context: Tensor, layers: list[int]) -> None:
    """What is said of a layer does not depend on which others are decoded."""
    whole = decoded(checkpoint, context)
    parts = [part for _, part in decode(checkpoint, context, STEPS, 8, layers=layers)]
    for place, expected in enumerate(whole):
        assert torch.equal(torch.cat([part[place] for part in parts]), expected[:, layers])


def test_order_and_shards_change_nothing(checkpoint: Checkpoint, context: Tensor) -> None:
    """A row must not depend on the rows beside it."""
    whole = decoded(checkpoint, context)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(2))
    for one, other in zip(decoded(checkpoint, context[order]), whole, strict=True):
        assert torch.equal(one, other[order])
    for start, end in ((0, 1), (1, 17), (17, 23)):
        for one, other in zip(decoded(checkpoint, context[start:end]), whole, strict=True):
            assert torch.equal(one, other[start:end])
    others = decoded(checkpoint, context, batch_rows=5)
    torch.testing.assert_close(others.log_probability, whole.log_probability, atol=5e-5, rtol=0)
    torch.testing.assert_close(others.entropy, whole.entropy, atol=5e-5, rtol=0)


def test_half_precision(family: str, checkpoint_folder: Callable[[str], Path], context: Tensor) -> None:
    """The precision that GPUs run in: the last layer is still the model, within the precision's steps."""
    half = load_checkpoint(checkpoint_folder(family), "bfloat16", 8)
    found = decoded(half, context)
    logits = own_logits(half.model, context)
    expected = logits.log_softmax(-1).gather(-1, context[:, -STEPS:, None]).squeeze(-1)
    torch.testing.assert_close(found.log_probability[:, -1], expected, atol=0.05, rtol=0)
    assert found.entropy.isfinite().all() and found.entropy.dtype == torch.float32


def test_model_that_accelerate_has_spread(checkpoint: Checkpoint, spread: Checkpoint, context: Tensor) -> None:
    """Over several GPUs final norm and unembedding lie elsewhere than most layers, and move what they are given."""
    for one, other in zip(decoded(spread, context), decoded(checkpoint, context), strict=True):
        assert torch.equal(one, other)


def test_a_token_settles_where_it_leads_to_the_end() -> None:
    """A token that leads, is overtaken and leads again has not settled before."""
    choice = torch.tensor([[[7, 7, 1], [2, 7, 1], [7, 7, 9]]])  # one row, three layers, three positions
    empty = torch.zeros(1, 3, 3)
    found = Decoded(empty, empty, empty, choice).outcomes(torch.tensor([[7, 7, 5]]))
    assert found["leads"][0].tolist() == [[True, True, False], [False, True, False], [True, True, False]]
    assert found["settled"][0].tolist() == [[False, True, False], [False, True, False], [True, True, False]]
    assert found["agrees"][0].tolist() == [[True, True, False], [False, True, False], [True, True, True]]


def job(bos: int | None = None) -> dict[str, Any]:
    return {
        "model": "olmo2-test",
        "family": "olmo2",
        "bos": bos,
        "dtype": "float32",
        "batch_rows": 4,
        "layer_stride": 1,
    }


def part_of(folder: Path, rows: Rows, hits: list[int]) -> dict[str, Any]:
    """Two sample shards and the scores of the rows, as arguments of the stage."""
    shards = [
        write_shard(folder / f"{start}.parquet", Rows(*(part[start:end] for part in rows)))  # type: ignore[arg-type]
        for start, end in ((0, 3), (3, len(rows.ids)))
    ]
    columns = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains, "hits": hits}
    columns |= {"inclusion_probability": rows.probabilities}
    columns |= {"first_mismatch": hits, "generated": rows.continuation.tolist(), "margin": [1.0] * len(hits)}
    SCORES.write(folder / "scores.parquet", columns, {})
    outputs = {"lens": folder / "lens.parquet", "positions": folder / "positions.parquet"}
    return {"scores": folder / "scores.parquet", "shards": shards, "threads": 1} | outputs


def sample(context: Tensor) -> Rows:
    domains = ["code", "code", "prose", "prose", "code", "prose"]
    return Rows([5, 6, 7, 8, 9, 10], [1, 2, 3, 4, 1, 6], domains, [1.0] * 6, context[:6, :-STEPS], context[:6, -STEPS:])


@pytest.mark.parametrize("bos", [None, 0])
def test_the_stage(tmp_path: Path, checkpoint_folder: Any, context: Tensor, bos: int | None) -> None:
    """Prevents a lost BOS, means over the wrong axis, and rows that are summed up under other rows' hits."""
    rows, hits = sample(context), [STEPS, 0, 2, 2, STEPS, 0]
    weights = checkpoint_folder("olmo2") / "model.safetensors"
    arguments = part_of(tmp_path, rows, hits)
    decode_layers(job(bos), checkpoint=weights, **arguments)
    text = context[:6] if bos is None else torch.cat([torch.full((6, 1), bos), context[:6]], dim=1)
    expected = decoded(load_checkpoint(weights, "float32", 4), text, 4)
    values = {
        "probability": expected.log_probability.double().exp().numpy(),
        "log_probability": expected.log_probability.double().numpy(),
        "log_rank": np.log(expected.rank.numpy()),
        "entropy": expected.entropy.double().numpy(),
        "leads": (expected.choice == rows.continuation[:, None]).numpy(),
        "settled": np.zeros((6, LAYERS, STEPS), bool),
        "agrees": (expected.choice == expected.choice[:, -1:]).numpy(),
    }
    for layer in range(LAYERS):
        values["settled"][:, layer] = values["leads"][:, layer:].all(axis=1)
    table = DECODED.read(arguments["lens"])
    assert table["row_id"].to_pylist() == rows.ids and table["domain"].to_pylist() == rows.domains
    for name in AMOUNTS:
        np.testing.assert_allclose(as_array(table[name]), values[name].mean(axis=2), rtol=1e-6)
    for name in COUNTS:
        assert np.array_equal(as_array(table[name]), values[name].sum(axis=2))
    sums = DECODED_POSITIONS.read(arguments["positions"])
    keys = list(zip(sums["domain"].to_pylist(), sums["hits"].to_pylist(), sums["layer"].to_pylist(), strict=True))
    groups = [("code", 0), ("code", STEPS), ("prose", 0), ("prose", 2)]
    assert keys == [(*group, layer) for group in groups for layer in range(LAYERS)]
    for place, (domain, hit, layer) in enumerate(keys):
        chosen = [row for row in range(6) if (rows.domains[row], hits[row]) == (domain, hit)]
        assert sums["n"][place].as_py() == len(chosen)
        for name in (*AMOUNTS, *COUNTS):
            wanted = values[name][chosen, layer].sum(axis=0)
            np.testing.assert_allclose(as_array(sums[name])[place], wanted, rtol=1e-12)
    made = read_metadata(arguments["lens"])
    assert (made["layers"], made["continuation_tokens"], made["batch_rows"]) == (LAYERS, STEPS, 4)
    assert made["teacher_forced"] is True and made["decoded"] == list(range(LAYERS))


def test_decoded_layers() -> None:
    """The last layer is the model and always decoded, the first too; what is between is evenly apart."""
    assert decoded_layers(6, 1) == [0, 1, 2, 3, 4, 5]
    assert decoded_layers(6, 2) == [0, 2, 4, 5]
    assert decoded_layers(7, 2) == [0, 2, 4, 6]
    assert decoded_layers(7, 3) == [0, 3, 6]
    assert decoded_layers(6, 100) == [0, 5]
    assert decoded_layers(1, 4) == [0]


def test_the_stage_with_a_stride(tmp_path: Path, checkpoint_folder: Any, context: Tensor) -> None:
    """Prevents a layer from being given the number of its place among those that are decoded."""
    rows, hits = sample(context), [STEPS, 0, 2, 2, STEPS, 0]
    weights = checkpoint_folder("olmo2") / "model.safetensors"
    arguments = part_of(tmp_path, rows, hits)
    decode_layers(job(), checkpoint=weights, **arguments)
    every = [DECODED.read(arguments["lens"]), DECODED_POSITIONS.read(arguments["positions"])]
    decode_layers(job() | {"layer_stride": 2}, checkpoint=weights, **arguments)
    table, sums = DECODED.read(arguments["lens"]), DECODED_POSITIONS.read(arguments["positions"])
    kept = [layer in (0, 2) for layer in every[1]["layer"].to_pylist()]
    made = read_metadata(arguments["lens"])
    assert (made["layers"], made["decoded"]) == (LAYERS, [0, 2])
    for name in (*AMOUNTS, *COUNTS):
        if name != "settled":  # which asks the later layers that are decoded alone
            assert np.array_equal(as_array(table[name]), as_array(every[0][name])[:, [0, 2]])
    for name in ("domain", "hits", "layer", "n", *AMOUNTS):
        assert sums[name].to_pylist() == every[1][name].filter(kept).to_pylist()
    text = context[:6]
    leads = decoded(load_checkpoint(weights, "float32", 4), text, 4).choice[:, [0, 2]] == rows.continuation[:, None]
    settled = torch.stack([leads.all(dim=1), leads[:, 1]], dim=1).sum(dim=2)
    assert np.array_equal(as_array(table["settled"]), settled.numpy())


def test_scores_of_other_rows(tmp_path: Path, context: Tensor) -> None:
    """Prevents rows from being given the classes of others."""
    rows = sample(context)
    arguments = part_of(tmp_path, rows, [0] * 6)
    write_shard(tmp_path / "0.parquet", Rows(*(part[1:4] for part in rows)))  # type: ignore[arg-type]
    with pytest.raises(ReciteError, match=r"scores\.parquet scores other rows than its samples hold; delete it"):
        decode_layers(job(), checkpoint=tmp_path / "model.safetensors", **arguments)
