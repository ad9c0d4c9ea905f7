"""Translators against the plain lens, the unmodified model, and a basis that was turned by a known matrix."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group
from torch import Tensor
from transformers import PreTrainedModel

from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.decoding import decode, logits_of
from recite.engine.passes import replaced
from recite.engine.residuals import output_changed, run
from recite.engine.rows import Rows, read_rows
from recite.errors import ReciteError
from recite.files import sha256_file
from recite.planning.costs import Facts
from recite.stages.lens.rows import AMOUNTS, COUNTS
from recite.stages.tuned_lens import stage, training
from recite.stages.tuned_lens.kept import kept_rows, refuse_shared
from recite.stages.tuned_lens.measure import decode_translated
from recite.stages.tuned_lens.rows import KEPT, TRANSLATED, TRANSLATION
from recite.stages.tuned_lens.training import divergence, train_translators, trained
from recite.stages.tuned_lens.translators import Translators, identities, read_translators
from recite.tables import read_metadata
from recite.tables.lists import as_array
from samples import write_shard

STEPS, LAYERS, WIDTH, FED = 11, 3, 48, 31


def test_the_plan_knows_the_training() -> None:
    assert (stage.TOKENS, stage.HELD, stage.GROUP_BYTES) == (training.TOKENS, training.HELD, training.GROUP_BYTES)
    assert [*map(list, training.groups(5, 15811))] == [[0], [1], [2], [3], [4]]
    assert training.groups(40, 4096) == [range(14), range(14, 28), range(28, 40)]
    assert stage.translator_weights(Facts(LAYERS, WIDTH, 3, 3, 4, 300, 9)) == (LAYERS - 1) * (WIDTH**2 + WIDTH)


def recipe(**changed: Any) -> dict[str, Any]:
    return {"steps": 30, "step_rows": 8, "seed": 1} | changed


@pytest.fixture
def frozen(family: str, checkpoint_folder: Callable[[str], Path]) -> Checkpoint:
    """The family's model, of which no weight wants a gradient."""
    found = load_checkpoint(checkpoint_folder(family), "float32", 8)
    found.model.requires_grad_(False)
    return found


def tokens(rows: int, seed: int) -> Tensor:
    return torch.randint(0, 300, (rows, 32), generator=torch.Generator().manual_seed(seed))


def test_identities_are_the_plain_lens(checkpoint: Checkpoint, context: Tensor) -> None:
    """Prevents a map that acts elsewhere than between a layer and the final norm, or that loses precision."""
    maps = identities(checkpoint)

    def see(layer: int, hidden: Tensor) -> None:
        plain, mapped = (logits_of(checkpoint, values) for values in (hidden, maps.translated(layer, hidden)))
        torch.testing.assert_close(mapped, plain, atol=2e-5, rtol=0)

    with torch.inference_mode():
        run(checkpoint, context[:, :-1], see)
    for (_, one), (_, other) in zip(
        decode(checkpoint, context, STEPS, 8),
        decode(checkpoint, context, STEPS, 8, translate=maps.translated),
        strict=True,
    ):
        torch.testing.assert_close(other.log_probability, one.log_probability, atol=2e-5, rtol=0)
        torch.testing.assert_close(other.entropy, one.entropy, atol=2e-5, rtol=0)


def test_training(family: str, frozen: Checkpoint, reference: PreTrainedModel, tmp_path: Path, context: Tensor) -> None:
    """The divergence is that of transformers' own states, falls on rows that are not trained on, and changes no
    logit of the model.
    """
    others, architecture = tokens(6, 9), ARCHITECTURES[family]
    maps = trained(frozen, tokens(64, 4), FED, recipe(), 8)
    before, after = (divergence(frozen, others, FED, each, 4) for each in (identities(frozen), maps))
    assert (after < 0.8 * before).all()
    with torch.inference_mode():
        said = reference(input_ids=others[:, :-1], use_cache=False, output_hidden_states=True)
        final = said.logits.double().log_softmax(-1)
        for layer, state in enumerate(said.hidden_states[1:-1]):
            for found, translator in ((before, identities(frozen)), (after, maps)):
                change, bias = (part[layer].double() for part in translator)
                moved = (state.double() + state.double() @ change.T + bias).float()
                normed = reference.get_submodule(architecture.final_norm)(moved)
                logs = reference.get_submodule(architecture.unembedding)(normed).double().log_softmax(-1)
                expected = (final.exp() * (final - logs)).sum(-1).mean()
                assert found[layer] == pytest.approx(float(expected), rel=1e-3, abs=1e-6)
    maps.save(tmp_path / "maps.safetensors")
    read = read_translators(tmp_path / "maps.safetensors", frozen)
    assert all(torch.equal(one, other) for one, other in zip(read.named().values(), maps.named().values(), strict=True))
    ((_, found),) = decode(frozen, context[:8], STEPS, 8, translate=read.translated)
    with torch.inference_mode():
        own = reference(input_ids=context[:8, :-1]).logits[:, -STEPS:].log_softmax(-1)
    true = own.gather(-1, context[:8, -STEPS:, None]).squeeze(-1)
    torch.testing.assert_close(found.log_probability[:, -1], true, atol=2e-5, rtol=0)


def test_model_that_accelerate_has_spread(frozen: Checkpoint, spread: Checkpoint) -> None:
    """Over several GPUs final norm and unembedding lie elsewhere than most layers, and hand gradients back."""
    spread.model.requires_grad_(False)
    found, expected = (trained(model, tokens(16, 4), FED, recipe(steps=3), 8) for model in (spread, frozen))
    for one, other in zip(found.named().values(), expected.named().values(), strict=True):
        assert torch.equal(one, other) and one.any()


def test_a_turned_basis_is_turned_back(frozen: Checkpoint) -> None:
    """A model whose last layer does nothing but undo a rotation: the map before it is that rotation's inverse."""
    turn = torch.from_numpy(ortho_group.rvs(WIDTH, random_state=3)).float()
    last, before = frozen.layers[-1], frozen.layers[-2]
    others, seen = tokens(6, 9), []
    with (
        output_changed(before, lambda hidden: hidden @ turn.T),
        replaced([last], None),
        output_changed(last, lambda hidden: hidden @ turn),
    ):
        maps = trained(frozen, tokens(64, 4), FED, recipe(steps=200, step_rows=4), 8)
        plain, tuned = (divergence(frozen, others, FED, each, 8)[-1] for each in (identities(frozen), maps))
        with torch.inference_mode():
            run(frozen, others[:, :-1], lambda layer, hidden: seen.append(maps.translated(layer, hidden)))
    assert plain > 1e-3 and tuned < 0.1 * plain
    told = [logits_of(frozen, hidden) for hidden in seen[-2:]]
    centred = [(logits - logits.mean(dim=-1, keepdim=True)).flatten(0, 1) for logits in told]
    assert float(torch.nn.functional.cosine_similarity(*centred, dim=-1).mean()) > 0.95


def test_what_training_hangs_on(checkpoint_folder: Callable[[str], Path]) -> None:
    """The same bits twice; passes of other sizes change no more than rounding does; another seed is another order."""
    loaded = load_checkpoint(checkpoint_folder("pythia"), "float32", 8)
    loaded.model.requires_grad_(False)
    text = tokens(40, 4)
    first, again, cut, other = (
        trained(loaded, text, FED, recipe(**changed), rows)
        for changed, rows in (({}, 8), ({}, 8), ({}, 3), ({"seed": 2}, 8))
    )
    for one, two, three, four in zip(*(maps.named().values() for maps in (first, again, cut, other)), strict=True):
        assert torch.equal(one, two) and not torch.equal(one, four)
        torch.testing.assert_close(one, three, atol=1e-4, rtol=1e-3)


def test_layers_are_trained_apart(checkpoint_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a map that hangs on how many layers there was memory for."""
    loaded = load_checkpoint(checkpoint_folder("openllama"), "float32", 8)
    loaded.model.requires_grad_(False)
    whole = trained(loaded, tokens(40, 4), FED, recipe(), 8).named()
    monkeypatch.setattr(training, "GROUP_BYTES", 1)
    steps: list[int] = []
    single = trained(loaded, tokens(40, 4), FED, recipe(), 8, steps.append).named()
    assert len(steps) == (LAYERS - 1) * 30
    assert whole.keys() == single.keys() and all(torch.equal(whole[name], single[name]) for name in whole)


def rows_of(context: list[int], continuation: list[int]) -> Rows:
    """Rows whose texts are told by a number each."""
    count = len(context)
    texts = [hash((a, b)) % 2**32 for a, b in zip(context, continuation, strict=True)]
    parts = ([[number] * 3 for number in numbers] for numbers in (context, continuation))
    return Rows([*range(count)], texts, ["code"] * count, [1.0] * count, *(torch.tensor(part) for part in parts))


def test_kept_rows_share_no_text_with_measured_ones() -> None:
    """Prevents a context or a continuation on both sides, by chains of rows too, and a choice by the rows' order."""
    rng = np.random.default_rng(1)
    rows = rows_of(rng.integers(0, 900, 1000).tolist(), rng.integers(0, 900, 1000).tolist())
    kept = kept_rows(rows, 0.3, 5)
    assert 0 < kept.sum() < 1000
    refuse_shared(rows, kept, "here")
    order = rng.permutation(1000)
    moved = Rows(
        *([part[place] for place in order] for part in rows[:4]), rows.context[order], rows.continuation[order]
    )
    assert np.array_equal(kept_rows(moved, 0.3, 5), kept[order])
    apart = rows_of([*range(2000)], [*range(2000)])
    assert kept_rows(apart, 0.3, 5).mean() == pytest.approx(0.3, abs=0.04)
    assert not np.array_equal(kept_rows(apart, 0.3, 5), kept_rows(apart, 0.3, 6))
    chain = rows_of([1, 1, 2, 2, 3], [5, 6, 6, 7, 7])
    with pytest.raises(
        ReciteError, match=r"of 5 rows [05] would be trained on, which leaves nothing to (measure|train)"
    ):
        kept_rows(chain, 0.5, 1)
    for mine in ([True, False, False, False, False], [False, True, True, True, False]):
        with pytest.raises(ReciteError, match="here keeps rows to train on that share text with measured ones"):
            refuse_shared(chain, np.array(mine), "here")


def job(**more: Any) -> dict[str, Any]:
    run = {"model": "olmo2-test", "family": "olmo2", "bos": 0, "dtype": "float32", "batch_rows": 4}
    return run | {"rows_per_domain": 12, "training_share": 0.4} | recipe(steps=6, step_rows=4) | more


def arguments(folder: Path, weights: Path) -> dict[str, Any]:
    """Two shards of one domain, 16 rows, as arguments of the training."""
    text = tokens(16, 8)
    lists = [*range(100, 116)], [*range(16)], ["code"] * 16, [1.0] * 16
    rows = Rows(*lists, text[:, :-STEPS], text[:, -STEPS:])
    cuts = [Rows(*(part[start:end] for part in rows)) for start, end in ((0, 9), (9, 16))]  # type: ignore[arg-type]
    shards = [write_shard(folder / f"{place}.parquet", cut) for place, cut in enumerate(cuts)]
    made = {"translators": "translators.safetensors", "kept": "kept.parquet", "training": "training.parquet"}
    found = {name: folder / file for name, file in made.items()}
    return {"shards": shards, "checkpoint": weights, "threads": 1} | found


def test_the_stage(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """The same bytes twice; only rows that were not trained on are decoded, and through the translators."""
    weights = checkpoint_folder("olmo2") / "model.safetensors"
    given = arguments(tmp_path, weights)
    train_translators(job(), **given)
    digests = [sha256_file(given[name]) for name in ("translators", "kept", "training")]
    train_translators(job(), **given)
    assert [sha256_file(given[name]) for name in ("translators", "kept", "training")] == digests
    assert read_metadata(given["training"])["translators_sha256"] == digests[0]
    rows, table = read_rows(given["shards"], 12), KEPT.read(given["kept"])
    kept = table["kept"].to_numpy()
    assert table["row_id"].to_pylist() == rows.ids.tolist() and 0 < kept.sum() < 12
    gained = TRANSLATION.read(given["training"]).to_pandas()
    assert gained["layer"].tolist() == [*range(LAYERS - 1)] and (gained["after"] < gained["before"]).all()
    shared = {name: given[name] for name in ("shards", "checkpoint", "translators", "kept", "threads")}
    decode_translated(job(), **shared, translated=tmp_path / "decoded.parquet")
    loaded = load_checkpoint(weights, "float32", 4)
    maps = read_translators(given["translators"], loaded)
    whole = torch.cat([torch.zeros((12, 1), dtype=torch.int64), rows.context, rows.continuation], dim=1)[~kept]
    found = [
        part.by_row(whole[chosen, -STEPS:])
        for chosen, part in decode(loaded, whole, STEPS, 4, translate=maps.translated)
    ]
    decoded = TRANSLATED.read(tmp_path / "decoded.parquet")
    assert decoded["row_id"].to_pylist() == [row for row, mine in zip(rows.ids, kept, strict=True) if not mine]
    for name in (*AMOUNTS, *COUNTS):
        assert np.array_equal(as_array(decoded[name]), np.concatenate([part[name] for part in found]))
    assert read_metadata(tmp_path / "decoded.parquet")["translators_sha256"] == digests[0]


def test_files_that_do_not_belong_together(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    weights = checkpoint_folder("olmo2") / "model.safetensors"
    given = arguments(tmp_path, weights)
    train_translators(job(), **given)
    shared = {name: given[name] for name in ("shards", "checkpoint", "translators", "kept", "threads")}
    with pytest.raises(ReciteError, match=r"kept\.parquet is of other rows than the samples hold; delete it"):
        decode_translated(job(rows_per_domain=11), **shared, translated=tmp_path / "decoded.parquet")
    loaded = load_checkpoint(weights, "float32", 4)
    identities(loaded).save(given["translators"])
    with pytest.raises(ReciteError, match=r"translators\.safetensors is not what .*kept\.parquet was written with"):
        decode_translated(job(), **shared, translated=tmp_path / "decoded.parquet")
    Translators({0: torch.zeros(5, 5)}, {0: torch.zeros(5)}).save(given["translators"])
    with pytest.raises(ReciteError, match=r"translators\.safetensors holds translators of another model; delete it"):
        read_translators(given["translators"], loaded)
    given["translators"].write_bytes(b"nothing")
    with pytest.raises(ReciteError, match=r"translators\.safetensors cannot be read .*; delete it and run again"):
        read_translators(given["translators"], loaded)
