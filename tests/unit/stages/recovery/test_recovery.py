"""Recovery against residual streams and noise by hand, a closed form, and any batch, shard and order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from recite.checkpoints.architectures import ARCHITECTURES, Shape
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.checkpoints.training import build_model
from recite.engine.continuation import Intervention
from recite.engine.interventions.gaussian import row_noise
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.rows import Rows
from recite.errors import ReciteError
from recite.stages.recovery.measure import compared, comparison, measure_recovery
from recite.stages.recovery.rows import RECOVERED
from recite.tables import read_metadata
from recite.tables.lists import as_array
from samples import write_shard


def cosines(*arguments: Any) -> Tensor:
    """The first of the measures, (rows, layers)."""
    return compared(*arguments).cosine


LAYERS = 3
"""Of the models of conftest.py."""
SEED = 9
IDS = [1000 + 7 * row for row in range(23)]


def noise(
    checkpoint: Checkpoint, alpha: float, layer: int = 0, ids: list[int] = IDS, rms: Any = "token"
) -> Intervention:
    return ResidualNoise(checkpoint, layer, ids, alpha, SEED, rms, "prompt")


def test_no_noise_is_a_cosine_of_exactly_one(checkpoint: Checkpoint, context: Tensor) -> None:
    """Strength zero must be the undisturbed run itself, to the last bit."""
    found = cosines(checkpoint, context, noise(checkpoint, 0.0), 0, 8)
    assert found.shape == (23, LAYERS)
    assert torch.equal(found, torch.ones(23, LAYERS))


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(rows,) mean over positions, of (rows, positions, width)."""
    norms = np.linalg.norm(first, axis=2) * np.linalg.norm(second, axis=2)
    return (np.einsum("rpw,rpw->rp", first, second) / norms).mean(axis=1)


@pytest.mark.parametrize("rms", ["token", "tensor"])
def test_equals_two_runs_by_hand(
    family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor, rms: str
) -> None:
    """A cosine with another row, another layer or after the wrong hook would still lie between 0 and 1."""
    layer, alpha = 1, 0.4
    layers = reference.get_submodule(ARCHITECTURES[family].layers)
    seen: list[np.ndarray] = []

    def disturb(module: Any, arguments: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        drawn = row_noise(SEED, IDS, layer, 0, 32, hidden.shape[2], hidden.device)
        over = (-1,) if rms == "token" else (-1, -2)
        noisy = hidden + alpha * hidden.square().mean(dim=over, keepdim=True).sqrt() * drawn
        return (noisy, *output[1:]) if isinstance(output, tuple) else noisy

    def keep(module: Any, arguments: Any, output: Any) -> None:
        seen.append((output[0] if isinstance(output, tuple) else output).double().numpy())

    for disturbed in (False, True):
        handles = [layers[layer].register_forward_hook(disturb)] if disturbed else []
        handles += [module.register_forward_hook(keep) for module in layers]
        with torch.inference_mode():
            reference(input_ids=context, use_cache=False)
        for handle in handles:
            handle.remove()
    drawn = seen[LAYERS + layer] - seen[layer]
    expected: dict[str, list[np.ndarray]] = {name: [] for name in ("cosine", "baseline", "growth", "along")}
    for clean, noisy in zip(seen[layer:LAYERS], seen[LAYERS + layer :], strict=True):
        difference = noisy - clean
        expected["cosine"].append(cosine(clean, noisy))
        expected["baseline"].append(cosine(clean, clean + drawn))
        expected["growth"].append((np.linalg.norm(difference, axis=2) / np.linalg.norm(drawn, axis=2)).mean(axis=1))
        expected["along"].append(cosine(difference, drawn))
    found = compared(checkpoint, context, noise(checkpoint, alpha, layer, rms=rms), layer, 8)
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(found, name).numpy(), np.stack(values, axis=1), atol=1e-4)
    assert (found.cosine < 0.99).all()
    np.testing.assert_allclose(found.growth[:, 0], 1, atol=1e-6)
    np.testing.assert_allclose(found.along[:, 0], 1, atol=1e-6)
    np.testing.assert_allclose(found.baseline[:, 0], found.cosine[:, 0], atol=1e-6)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("wide")
    build_model("openllama", Shape(1, 1024, 8), 300, 64, seed=5).save_pretrained(folder)
    return load_checkpoint(folder, "float32", 8)


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.5, 1.0])
def test_the_disturbed_layer_in_closed_form(wide: Checkpoint, alpha: float) -> None:
    """E[cos] -> 1 / sqrt(1 + alpha^2) as the layer grows wide: the noise is orthogonal to what it falls on."""
    context = torch.randint(0, 300, (16, 32), generator=torch.Generator().manual_seed(1))
    found = cosines(wide, context, noise(wide, alpha), 0, 8)
    assert float(found.mean()) == pytest.approx((1 + alpha**2) ** -0.5, rel=2e-3)


def test_order_and_shards_change_nothing(checkpoint: Checkpoint, context: Tensor) -> None:
    """A row must not depend on the rows beside it, nor on which half of a pass it is in."""
    whole = cosines(checkpoint, context, noise(checkpoint, 0.4), 0, 8)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(2))
    moved = noise(checkpoint, 0.4, ids=[IDS[row] for row in order])
    assert torch.equal(cosines(checkpoint, context[order], moved, 0, 8), whole[order])
    for start, end in ((0, 1), (1, 17), (17, 23)):
        part = cosines(checkpoint, context[start:end], noise(checkpoint, 0.4, ids=IDS[start:end]), 0, 8)
        assert torch.equal(part, whole[start:end])
    other = cosines(checkpoint, context, noise(checkpoint, 0.4), 0, 5)
    torch.testing.assert_close(other, whole, atol=1e-5, rtol=0)


def test_stronger_noise_leaves_less(checkpoint: Checkpoint, context: Tensor) -> None:
    """All strengths scale one draw, so that every row is further away under more noise in the disturbed layer."""
    weak, strong = (cosines(checkpoint, context, noise(checkpoint, alpha), 0, 8)[:, 0] for alpha in (0.1, 0.5))
    assert (weak > strong).all()


def test_cosines_in_half_precision(checkpoint_folder: Callable[[str], Path], family: str, context: Tensor) -> None:
    """The precision that GPUs run in: the same code, and still exactly 1 without noise."""
    half = load_checkpoint(checkpoint_folder(family), "bfloat16", 8)
    assert torch.equal(cosines(half, context, noise(half, 0.0), 0, 8), torch.ones(23, LAYERS))
    first = cosines(half, context, noise(half, 0.5), 0, 8)[:, 0]
    assert float(first.mean()) == pytest.approx(1.25**-0.5, rel=0.01)


def test_model_that_accelerate_has_spread(checkpoint: Checkpoint, spread: Checkpoint, context: Tensor) -> None:
    """Over several GPUs each layer's forward is one that moves tensors."""
    found, expected = (cosines(model, context, noise(model, 0.3, 1), 1, 8) for model in (spread, checkpoint))
    assert torch.equal(found, expected)


def test_mean_over_positions() -> None:
    """The cosine of a whole row at once would weigh its positions by their length."""
    clean = torch.tensor([[[1.0, 0.0], [100.0, 0.0]]])
    noisy = torch.tensor([[[0.0, 2.0], [1.0, 0.0]]])
    assert comparison(clean, noisy, noisy - clean).cosine.tolist() == [0.5]


def test_what_is_carried_along_removed_or_amplified() -> None:
    """A stream that doubles regains similarity with the noise untouched in it: growth and direction must tell so."""
    clean = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(3))
    noise = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(4))
    first = comparison(clean, clean + noise, noise)
    carried = comparison(2 * clean, 2 * clean + noise, noise)
    assert (carried.cosine > first.cosine + 0.1).all()
    torch.testing.assert_close(carried.cosine, carried.baseline)
    for found, size in ((carried, 1.0), (comparison(clean, clean + noise / 4, noise), 0.25)):
        torch.testing.assert_close(found.growth, torch.full((2,), size, dtype=torch.float64))
        torch.testing.assert_close(found.along, torch.ones(2, dtype=torch.float64))
    turned = comparison(clean, clean - 3 * noise, noise)
    torch.testing.assert_close(turned.growth, torch.full((2,), 3.0, dtype=torch.float64))
    torch.testing.assert_close(turned.along, -torch.ones(2, dtype=torch.float64))
    none = comparison(clean, clean, torch.zeros_like(noise))
    assert none.cosine.tolist() == [1, 1] and none.growth.isnan().all() and none.along.isnan().all()


def job(family: str, bos: int | None = None, layer: int = 1) -> dict[str, Any]:
    made = {"model": f"{family}-test", "family": family, "bos": bos, "dtype": "float32", "batch_rows": 4}
    return made | {"noise": {"seed": SEED, "layer": layer, "rms": "token"}}


@pytest.mark.parametrize("bos", [None, 0])
def test_the_stage(tmp_path: Path, checkpoint_folder: Any, context: Tensor, bos: int | None) -> None:
    """Prevents noise by the row's place in place of its id, a lost BOS, and layers counted from the wrong one."""
    continuation = torch.zeros(6, 5, dtype=torch.int64)
    rows = Rows(IDS[:6], list(range(6)), ["code"] * 4 + ["prose"] * 2, [1.0] * 6, context[:6], continuation)
    shards = [
        write_shard(tmp_path / f"{start}.parquet", Rows(*(part[start:end] for part in rows)))  # type: ignore[arg-type]
        for start, end in ((0, 4), (4, 6))
    ]
    output = tmp_path / "out.parquet"
    weights = checkpoint_folder("olmo2") / "model.safetensors"
    measure_recovery(job("olmo2", bos), 0.5, shards, weights, output, threads=1)
    model = load_checkpoint(weights, "float32", 4)
    prompt = context[:6] if bos is None else torch.cat([torch.full((6, 1), bos), context[:6]], dim=1)
    expected = compared(model, prompt, noise(model, 0.5, 1, IDS[:6]), 1, 4)
    table = RECOVERED.read(output)
    assert table["row_id"].to_pylist() == IDS[:6]
    assert table["domain"].to_pylist() == rows.domains
    for name, values in expected._asdict().items():
        assert np.array_equal(as_array(table[name]), values.numpy())
    made = read_metadata(output)
    assert (made["alpha"], made["first_layer"], made["layers"], made["batch_rows"]) == (0.5, 1, LAYERS, 4)


def test_a_layer_that_the_model_has_not(tmp_path: Path, checkpoint_folder: Any, context: Tensor) -> None:
    """A registered model may have no number of layers in its entry; then it is known here only."""
    rows = Rows(IDS[:2], [1, 2], ["code"] * 2, [1.0] * 2, context[:2], context[:2, :4])
    shard = write_shard(tmp_path / "s.parquet", rows)
    weights = checkpoint_folder("olmo2") / "model.safetensors"
    with pytest.raises(ReciteError, match=r"olmo2-test has 3 layers, noise\.layers has 3; choose"):
        measure_recovery(job("olmo2", layer=3), 0.5, [shard], weights, tmp_path / "o.parquet", threads=1)
