"""Head ablation as a stage: against slices replaced by hand in the unchanged model, and whatever the jobs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ablated import write_drawn
from peers import generate, logits_of
from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.interventions.heads import Replacement
from recite.engine.passes import CHUNK, forward
from recite.engine.rows import Rows, donors_of, taken
from recite.errors import ReciteError
from recite.stages.heads.measure.ablation import effects, measure_heads, measure_means, read_means, run_once
from recite.stages.heads.measure.likelihoods import head_likelihoods
from recite.stages.heads.rows import ABLATED
from recite.tables import read_metadata
from recite.tables.lists import as_array
from samples import write_shard
from turns import in_turn

LAYERS, HEADS, WIDTH, STEPS = 3, 3, 16, CHUNK + 3
"""Of the models of conftest.py; a continuation that is no multiple of what is checked at once."""
Change = Callable[[Tensor], Tensor]


@pytest.fixture
def text(context: Tensor) -> Tensor:
    """Seven rows, not a multiple of the batch of four."""
    return context[:7]


@contextmanager
def changed(family: str, model: PreTrainedModel, layer: int, head: int, change: Change) -> Iterator[None]:
    """Within the block one head's slice of what a layer's projection is given is what `change` makes of all slices."""
    entry = ARCHITECTURES[family]

    def replace(_: Any, arguments: Any) -> tuple[Tensor]:
        slices = arguments[0].unflatten(-1, (HEADS, WIDTH)).clone()
        slices[:, :, head] = change(slices)
        return (slices.flatten(-2),)

    handle = model.get_submodule(f"{entry.layers}.{layer}.{entry.attention_output}").register_forward_pre_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def true_logits(model: PreTrainedModel, text: Tensor) -> Tensor:
    """What the model says at the positions of the true continuation, which it is fed, (rows, steps, vocabulary)."""
    return logits_of(model, text[:, :-1])[:, -STEPS:]


def likelihood(logits: Tensor, text: Tensor) -> Tensor:
    """Log-probability of the true continuation, (rows,)."""
    return logits.double().log_softmax(-1).gather(-1, text[:, -STEPS:, None]).squeeze(-1).sum(dim=1)


def without(by: Replacement, head: int) -> Change:
    """Zero, or the mean of the two other heads."""
    others = [other for other in range(HEADS) if other != head]
    return lambda slices: 0 * slices[:, :, head] if by == "zero" else slices[:, :, others].mean(dim=2)


def test_log_probability_by_hand(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor) -> None:
    """Another head, another layer, a position too far, or layers below that saw the change would show."""
    by: Replacement = in_turn(family, ["mean_of_others", "zero"])
    found = head_likelihoods(checkpoint, text, STEPS, 4, range(LAYERS), by=by)
    clean = likelihood(true_logits(reference, text), text)
    torch.testing.assert_close(found.clean.double(), clean, atol=2e-4, rtol=0)
    effect = []
    for layer in range(LAYERS):
        for head in range(HEADS):
            with changed(family, reference, layer, head, without(by, head)):
                expected = likelihood(true_logits(reference, text), text)
            torch.testing.assert_close(found.ablated[:, layer, head].double(), expected, atol=2e-4, rtol=0)
            effect.append((expected - clean).abs().mean())
    assert min(effect) > 2e-3  # ten times what is tolerated


def test_logits_by_hand(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar of the equality is in logits: 1e-5."""
    seen: list[Tensor] = []

    def recorded(*arguments: Any) -> Tensor:
        seen.append(forward(*arguments))
        return seen[-1]

    monkeypatch.setattr("recite.engine.likelihoods.forward", recorded)
    head_likelihoods(checkpoint, text[:1], STEPS, 1, range(LAYERS))
    assert len(seen) == 1 + LAYERS * HEADS
    for place, logits in enumerate(seen[1:]):
        layer, head = divmod(place, HEADS)
        with changed(family, reference, layer, head, without("mean_of_others", head)):
            expected = true_logits(reference, text[:1])
        torch.testing.assert_close(logits.cpu(), expected, atol=1e-5, rtol=0)


def test_log_probability_with_other_numbers(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor
) -> None:
    """Each row must be given its own donor's numbers, those of the head and of the position."""
    by: Replacement = in_turn(family, ["dataset_mean", "resample"])
    donors = text.roll(3, dims=0)
    seen: list[Tensor] = []
    entry = ARCHITECTURES[family]
    projections = [
        reference.get_submodule(f"{entry.layers}.{layer}.{entry.attention_output}") for layer in range(LAYERS)
    ]
    handles = [p.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone())) for p in projections]
    true_logits(reference, donors)
    for handle in handles:
        handle.remove()
    means = [part.mean(dim=(0, 1)) for part in seen]
    found = head_likelihoods(checkpoint, text, STEPS, 4, range(LAYERS), by=by, means=means, donors=donors)
    for layer in range(LAYERS):
        for head in range(HEADS):
            given = seen[layer] if by == "resample" else means[layer].expand_as(seen[layer])
            put = given.unflatten(-1, (HEADS, WIDTH))[:, :, head]
            with changed(family, reference, layer, head, lambda _, put=put: put):
                expected = likelihood(true_logits(reference, text), text)
            torch.testing.assert_close(found.ablated[:, layer, head].double(), expected, atol=2e-4, rtol=0)


@pytest.fixture
def recited(reference: PreTrainedModel, text: Tensor) -> Tensor:
    """Three rows that are recited whole, three but for a token, and one of which no token is."""
    true = generate(reference, text[:, :-STEPS], STEPS)
    true[3:6, 7] = (true[3:6, 7] + 1) % 300
    true[6] = (true[6] + 1) % 300
    return torch.cat([text[:, :-STEPS], true], dim=1)


def test_hits_and_likelihoods_by_hand(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, recited: Tensor
) -> None:
    """The naive way: a full generation and a pass over the text for every head; a row with a near-tie may differ."""
    context, true = recited[:, :-STEPS], recited[:, -STEPS:]
    found = effects(checkpoint, recited, STEPS, 4, range(LAYERS))
    assert found.clean_hits.tolist()[:3] == [STEPS] * 3 and found.clean_hits.tolist()[6] == 0
    assert torch.equal(found.clean_hits.long(), (generate(reference, context, STEPS) == true).sum(dim=1))
    torch.testing.assert_close(
        found.clean.double(), likelihood(true_logits(reference, recited), recited), atol=2e-4, rtol=0
    )
    differing = 0
    for layer in range(LAYERS):
        for head in range(HEADS):
            with changed(family, reference, layer, head, without("mean_of_others", head)):
                hits = (generate(reference, context[:6], STEPS) == true[:6]).sum(dim=1)
                expected = likelihood(true_logits(reference, recited), recited)
            differing += int((found.hits[:6, layer, head].long() != hits).sum())
            torch.testing.assert_close(found.log_probability[:, layer, head].double(), expected, atol=2e-4, rtol=0)
    assert differing <= 1
    assert len(found.hits[:3].unique()) > 3 and not found.hits[6].any()


def test_a_recited_row_takes_one_pass(checkpoint: Checkpoint, recited: Tensor) -> None:
    """What is continued tells its likelihood, what has no hits is fed alone: no position is run twice."""
    fed: list[int] = []
    handle = checkpoint.layers[-1].register_forward_hook(lambda _, given, __: fed.append(given[0].shape[1]))
    counts = []
    try:
        for rows in (recited[:1], recited[3:4], recited[6:]):
            fed.clear()
            effects(checkpoint, rows, STEPS, 1, range(LAYERS - 1, LAYERS), by="zero")
            counts.append(sum(positions == rows.shape[1] - 1 for positions in fed))
    finally:
        handle.remove()
    # The clean passes: continued, and traced or fed, or both; then one for each head.
    assert counts == [2 + HEADS, 2 + HEADS, 2 + HEADS]


def test_jobs_leave_no_mark(family: str, checkpoint: Checkpoint, recited: Tensor) -> None:
    """Neither the layers of a job nor the rows beside a row change a bit."""
    by: Replacement = in_turn(family, ["mean_of_others", "resample"])
    donors = recited.roll(3, dims=0)
    whole = effects(checkpoint, recited, STEPS, 4, range(LAYERS), by=by, donors=donors)
    for rows, layers in ((slice(0, 4), range(2, 3)), (slice(2, 7), range(0, 2)), (slice(5, 6), range(1, 3))):
        part = effects(checkpoint, recited[rows], STEPS, 4, layers, by=by, donors=donors[rows])
        chosen = slice(layers.start, layers.stop)
        assert torch.equal(part.clean_hits, whole.clean_hits[rows])
        assert torch.equal(part.hits, whole.hits[rows, chosen])
        assert torch.equal(part.clean, whole.clean[rows])
        assert torch.equal(part.log_probability, whole.log_probability[rows, chosen])


def test_chosen_heads_are_as_among_all(family: str, checkpoint: Checkpoint, recited: Tensor) -> None:
    """Prevents a head's numbers in another one's place; heads that are left out must leave no mark on the others."""
    by: Replacement = in_turn(family, ["resample", "mean_of_others"])
    donors = recited.roll(3, dims=0)
    whole = effects(checkpoint, recited, STEPS, 4, range(LAYERS), by=by, donors=donors)
    chosen = {0: torch.tensor([1]), 1: torch.tensor([], dtype=torch.int64), 2: torch.tensor([0, 2])}
    found = effects(checkpoint, recited, STEPS, 4, range(LAYERS), by=by, donors=donors, chosen=chosen)
    assert torch.equal(found.clean_hits, whole.clean_hits)
    for layer, heads in chosen.items():
        assert torch.equal(found.hits[:, layer, heads], whole.hits[:, layer, heads])
        assert torch.equal(found.log_probability[:, layer, heads], whole.log_probability[:, layer, heads])
    assert int(found.log_probability.isnan().sum()) == 6 * len(recited)


def test_layers_below_are_not_run_again(checkpoint: Checkpoint, text: Tensor) -> None:
    """Half the work, over all layers; and afterwards the layers are as they were."""
    ran: list[int] = []
    handles = [
        checkpoint.attention_output(layer).register_forward_hook(lambda *_, layer=layer: ran.append(layer))
        for layer in range(LAYERS)
    ]
    try:
        head_likelihoods(checkpoint, text[:4], STEPS, 4, range(2, 3))
    finally:
        for handle in handles:
            handle.remove()
    assert (ran.count(0), ran.count(1), ran.count(2)) == (1, 1, 1 + HEADS)
    assert not any("forward" in vars(layer) for layer in checkpoint.layers)


def test_model_that_accelerate_has_spread(checkpoint: Checkpoint, spread: Checkpoint, text: Tensor) -> None:
    """Over several GPUs the layers' forwards are accelerate's, and must be so again after a pass that skips them."""
    found, expected = (head_likelihoods(one, text, STEPS, 4, range(LAYERS)) for one in (spread, checkpoint))
    assert torch.equal(found.ablated, expected.ablated) and torch.equal(found.clean, expected.clean)
    again = head_likelihoods(spread, text, STEPS, 4, range(LAYERS))
    assert torch.equal(again.ablated, expected.ablated)


def sample(context: Tensor) -> Rows:
    domains = ["code"] * 4 + ["prose"] * 4
    sequences = [1, 2, 1, 3, 4, 5, 6, 7]
    rows = torch.cat([context[:2], context[:1], context[2:7]])
    return Rows(list(range(50, 58)), sequences, domains, [1.0] * 8, rows[:, :-STEPS], rows[:, -STEPS:])


def job(**options: Any) -> dict[str, Any]:
    made = {"model": "m", "family": "f", "bos": None, "dtype": "float32", "batch_rows": 4}
    return made | {"layers": [0, None], "replacement": "mean_of_others", "round": 0} | options


@pytest.fixture
def shards(tmp_path: Path, context: Tensor) -> list[Path]:
    rows = sample(context)
    return [
        write_shard(tmp_path / f"{name}-0000.parquet", Rows(*(part[start:end] for part in rows)))  # type: ignore[arg-type]
        for name, start, end in (("code", 0, 4), ("prose", 4, 8))
    ]


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """All rows but the last of the first domain; one of them stands in two groups."""
    rows = [(row, "code" if row < 54 else "prose", "all") for row in (50, 51, 52, 54, 55, 56, 57)]
    return write_drawn(tmp_path / "drawn.parquet", [*rows, (51, "code", "memorized")])


@pytest.mark.parametrize("bos", [None, 0])
def test_the_stage(
    tmp_path: Path,
    shards: list[Path],
    drawn: Path,
    checkpoint_folder: Callable[[str], Path],
    context: Tensor,
    bos: int | None,
) -> None:
    """Prevents rows beyond those that are asked for, a lost BOS, and layers under other layers' numbers."""
    weights = checkpoint_folder("olmo2") / "model.safetensors"
    measure_heads(
        job(bos=bos, layers=[1, 3]), shards, [drawn], weights, None, None, tmp_path / "ablated.parquet", threads=1
    )
    rows, chosen = sample(context), [0, 1, 2, 4, 5, 6, 7]
    text = torch.cat([rows.context, rows.continuation], dim=1)[chosen]
    text = text if bos is None else torch.cat([torch.full((7, 1), bos), text], dim=1)
    expected = effects(load_checkpoint(weights, "float32", 4), text, STEPS, 4, range(1, 3))
    table = ABLATED.read(tmp_path / "ablated.parquet")
    assert table["row_id"].to_pylist() == [rows.ids[row] for row in chosen]
    assert table["sequence_id"].to_pylist() == [rows.sequences[row] for row in chosen]
    assert table["domain"].to_pylist() == [rows.domains[row] for row in chosen]
    assert np.array_equal(as_array(table["hits"]), expected.hits.flatten(1))
    assert np.array_equal(as_array(table["log_probability"]), expected.log_probability.flatten(1))
    assert np.array_equal(table["clean_log_probability"].to_numpy(), expected.clean)
    assert np.array_equal(table["clean_hits"].to_numpy(), expected.clean_hits)
    made = read_metadata(tmp_path / "ablated.parquet")
    assert (made["first_layer"], made["layers"], made["heads"]) == (1, LAYERS, HEADS)
    assert as_array(table["heads"]).tolist() == [list(range(HEADS, LAYERS * HEADS))] * 7
    assert made["options"]["replacement"] == "mean_of_others"


def test_replaced_by_means_over_the_rows(
    tmp_path: Path, shards: list[Path], drawn: Path, checkpoint_folder: Callable[[str], Path], context: Tensor
) -> None:
    """Prevents means of other rows, and means that are written but not used."""
    weights, means = checkpoint_folder("pythia") / "model.safetensors", tmp_path / "means.parquet"
    measure_means(job(), shards, [drawn], weights, means, threads=1)
    measure_means(job(), shards, [drawn], weights, tmp_path / "again.parquet", threads=1)
    assert means.read_bytes() == (tmp_path / "again.parquet").read_bytes()
    measure_heads(
        job(replacement="dataset_mean"), shards, [drawn], weights, means, None, tmp_path / "ablated.parquet", threads=1
    )
    rows, chosen = sample(context), [0, 1, 2, 4, 5, 6, 7]
    text = torch.cat([rows.context, rows.continuation], dim=1)[chosen]
    loaded = load_checkpoint(weights, "float32", 4)
    expected = effects(loaded, text, STEPS, 4, range(LAYERS), by="dataset_mean", means=read_means(means))
    table = ABLATED.read(tmp_path / "ablated.parquet")
    assert np.array_equal(as_array(table["log_probability"]), expected.log_probability.flatten(1))
    others = effects(loaded, text, STEPS, 4, range(LAYERS))
    assert not np.allclose(as_array(table["log_probability"]), others.log_probability.flatten(1), atol=1e-3)


def test_equal_texts_are_run_once(
    tmp_path: Path, checkpoint_folder: Callable[[str], Path], context: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prevents a text that recurs from being paid for again, and a row from getting another text's numbers."""
    once = taken(sample(context), [0, 1, 4])
    again = taken(once, [2, 0, 2, 1, 0])._replace(ids=[90, 91, 92, 93, 94], domains=["code"] * 5)
    shard = write_shard(tmp_path / "code.parquet", again)
    drawn = write_drawn(tmp_path / "drawn.parquet", [(row, "code", "all") for row in again.ids])
    weights = checkpoint_folder("pythia") / "model.safetensors"
    measure_heads(job(), [shard], [drawn], weights, None, None, tmp_path / "ablated.parquet", threads=1)
    assert "5 rows of 3 texts" in capsys.readouterr().out
    text = torch.cat([again.context, again.continuation], dim=1)
    expected = effects(load_checkpoint(weights, "float32", 4), text, STEPS, 4, range(LAYERS))
    table = ABLATED.read(tmp_path / "ablated.parquet")
    assert table["row_id"].to_pylist() == again.ids
    assert np.array_equal(as_array(table["hits"]), expected.hits.flatten(1))
    np.testing.assert_allclose(as_array(table["log_probability"]), expected.log_probability.flatten(1), atol=1e-5)
    assert run_once(again, alone=False) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4])


def test_donors(context: Tensor) -> None:
    """Prevents a donor of the same text, and one that the order of rows or the other ablated rows decide."""
    rows = sample(context)
    for places in (range(4), range(4, 8)):
        shard = taken(rows, list(places))
        donors = donors_of(shard, range(4), seed=3)
        for row, donor in enumerate(donors):
            assert shard.sequences[row] != shard.sequences[donor]
        assert donors_of(shard, [2, 0], seed=3) == [donors[2], donors[0]]
        moved = donors_of(taken(shard, [3, 2, 1, 0]), range(4), seed=3)
        assert [3 - donor for donor in moved[::-1]] == donors
    assert any(donors_of(shard, range(4), seed=seed) != donors for seed in (4, 5, 6))


def test_no_donor(context: Tensor) -> None:
    """Prevents a search without end where all rows have one text; a shard of which none is ablated needs no donor."""
    shard = taken(sample(context), [0, 2])
    with pytest.raises(ReciteError, match="all rows of a shard of domain code have the same text"):
        donors_of(shard, [0], seed=1)
    assert donors_of(shard, [], seed=1) == []


def test_layers_that_the_model_has_not(
    tmp_path: Path, shards: list[Path], drawn: Path, checkpoint_folder: Callable[[str], Path]
) -> None:
    """Prevents an IndexError where the registry is wrong about a model."""
    weights = checkpoint_folder("olmo2") / "model.safetensors"
    with pytest.raises(ReciteError, match="model m has 3 layers, but layer 3 was to be ablated; correct `layers`"):
        measure_heads(job(layers=[2, 4]), shards, [drawn], weights, None, None, tmp_path / "ablated.parquet", threads=1)
