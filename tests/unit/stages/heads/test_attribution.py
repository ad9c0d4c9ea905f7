"""Attribution against finite differences in the unchanged models, closed forms, and whatever the batches."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_head_effects import HEADS, LAYERS, STEPS, WIDTH, changed, likelihood, true_logits
from torch import Tensor
from transformers import PreTrainedModel

from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.interventions.heads import Replacement
from recite.stages.heads.measure.attribution import contributions, estimated_changes
from turns import in_turn

BATCH = 16
"""Two rows a pass, so that seven rows do not fill the last."""
SMALL = 1e-2
"""Share of the way to the replacement: rounding weighs little yet, curvature little still."""
REPLACEMENTS: list[Replacement] = ["mean_of_others", "zero", "dataset_mean", "resample"]


@pytest.fixture
def text(context: Tensor) -> Tensor:
    return context[:7]


def outputs_of(family: str, model: PreTrainedModel, text: Tensor) -> list[Tensor]:
    """What each layer's projection is given, (rows, positions, heads, width)."""
    entry, seen = ARCHITECTURES[family], []
    projections = [model.get_submodule(f"{entry.layers}.{layer}.{entry.attention_output}") for layer in range(LAYERS)]
    handles = [p.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone())) for p in projections]
    true_logits(model, text)
    for handle in handles:
        handle.remove()
    return [part.unflatten(-1, (HEADS, WIDTH)) for part in seen]


def test_finite_differences(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, text: Tensor) -> None:
    """A step of the way to the replacement and one away from it: another head, position or sign would show."""
    by = in_turn(family, REPLACEMENTS)
    donors = text.roll(3, dims=0)
    others = outputs_of(family, reference, donors)
    means = [part.mean(dim=(0, 1)) for part in others]
    flat = [mean.flatten() for mean in means]
    how = {"by": by, "means": flat, "donors": donors}
    parts = list(contributions(checkpoint, text, STEPS, BATCH, range(LAYERS), **how))
    assert [rows for rows, _ in parts] == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 7)]
    added = torch.cat([part for _, part in parts])
    assert added.shape == (7, LAYERS, HEADS, text.shape[1] - 1) and added.dtype == torch.float32
    found = added.sum(dim=-1)
    sizes = estimated_changes(checkpoint, text, STEPS, BATCH, range(LAYERS), **how)
    assert torch.equal(sizes, added.abs().sum(dim=-1))
    for layer in range(LAYERS):
        for head in range(HEADS):
            rest = [other for other in range(HEADS) if other != head]
            new: dict[str, Callable[[Tensor], Tensor]] = {
                "zero": lambda slices, head=head: 0 * slices[:, :, head],
                "mean_of_others": lambda slices, rest=rest: slices[:, :, rest].mean(dim=2),
                "dataset_mean": lambda _, layer=layer, head=head: means[layer][head],
                "resample": lambda _, layer=layer, head=head: others[layer][:, :, head],
            }
            ends = []
            for step in (SMALL, -SMALL):

                def part_way(slices: Tensor, step: float = step, head: int = head, new: dict = new) -> Tensor:
                    return slices[:, :, head] + step * (new[by](slices) - slices[:, :, head])

                with changed(family, reference, layer, head, part_way):
                    ends.append(likelihood(true_logits(reference, text), text))
            expected = (ends[1] - ends[0]) / (2 * SMALL)
            torch.testing.assert_close(found[:, layer, head].double(), expected, atol=5e-3, rtol=1e-2)
    assert found.abs().amin() > 0 and found.abs().median() > 0.05  # ten times what is tolerated


def test_planted_heads(family: str, reference: PreTrainedModel, text: Tensor, tmp_path: Path) -> None:
    """Heads that the projections do not read are worth nothing, and only these: another slice would show."""
    model, entry, unread = copy.deepcopy(reference), ARCHITECTURES[family], {(0, 1), (2, 0)}
    for layer, head in unread:
        weight = model.get_submodule(f"{entry.layers}.{layer}.{entry.attention_output}").weight
        weight.data[:, head * WIDTH : (head + 1) * WIDTH] = 0
    model.save_pretrained(tmp_path)
    found = estimated_changes(load_checkpoint(tmp_path, "float32", 8), text, STEPS, BATCH, range(LAYERS))
    nothing = {(layer, head) for layer in range(LAYERS) for head in range(HEADS) if not found[:, layer, head].any()}
    assert nothing == unread


def test_bits_do_not_depend_on_shards_or_layers(checkpoint: Checkpoint, text: Tensor) -> None:
    """Neither the rows beside a row nor the layers of a job change a bit."""
    whole = estimated_changes(checkpoint, text, STEPS, BATCH, range(LAYERS))
    for rows, layers in ((slice(0, 3), range(2, 3)), (slice(3, 7), range(0, 2)), (slice(6, 7), range(1, 3))):
        part = estimated_changes(checkpoint, text[rows], STEPS, BATCH, layers)
        assert torch.equal(part, whole[rows, layers.start : layers.stop])
    order = torch.tensor([4, 2, 6, 0, 5, 1, 3])
    assert torch.equal(estimated_changes(checkpoint, text[order], STEPS, BATCH, range(LAYERS)), whole[order])


def test_size_of_batches(checkpoint: Checkpoint, text: Tensor) -> None:
    """Prevents a gradient that is shared by the rows of a pass: only the order of sums may differ."""
    whole = estimated_changes(checkpoint, text, STEPS, BATCH, range(LAYERS))
    for batch_rows in (1, 64):
        found = estimated_changes(checkpoint, text, STEPS, batch_rows, range(LAYERS))
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)
