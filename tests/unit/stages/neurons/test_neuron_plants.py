"""Planted truth: two small siblings, each trained on half of some texts, and which neurons carry the one's own half."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from recite.checkpoints.architectures import Shape
from recite.checkpoints.loading import load_checkpoint
from recite.checkpoints.training import build_model
from recite.engine.rows import Rows
from recite.stages.neurons.measure.drawing import Asked
from recite.stages.neurons.measure.jobs import Found, Loaded, measured
from recite.stages.neurons.measure.sets import halves_of
from recite.stages.neurons.rows import CARRIERS, OTHERS, SIBLING_RANKINGS

TEXTS, LENGTH, CONTEXT, TOKENS = 32, 16, 8, 50
LADDER = [20, 60]
OPTIONS = {"bos": None, "seed": 3, "points": 8, "ladder": LADDER}


def trained(folder: Path, texts: Tensor) -> Path:
    """A model that knows some texts by heart, from the same start whatever these are."""
    model = build_model("openllama", Shape(layers=2, width=48, heads=4), TOKENS, LENGTH, seed=5)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        logits = model(input_ids=texts[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), texts[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return folder


class Planted(NamedTuple):
    """What was found of texts of both halves in the sibling that saw the first. lost: (texts, rankings, sizes) nats."""

    found: Found
    carriers: np.ndarray
    lost: np.ndarray


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    texts = torch.randint(0, TOKENS, (TEXTS, LENGTH), generator=torch.Generator().manual_seed(1))
    seen, unseen = texts[: TEXTS // 2], texts[TEXTS // 2 :]
    folders = [trained(tmp_path_factory.mktemp("sibling"), half) for half in (seen, unseen)]
    loaded = Loaded(*(load_checkpoint(folder, "float32", 32) for folder in folders))
    carriers = np.arange(TEXTS) < TEXTS // 2
    ids = list(range(1, TEXTS + 1))
    rows = Rows(ids, ids, ["code"] * TEXTS, [1.0] * TEXTS, texts[:, :CONTEXT], texts[:, CONTEXT:])
    asked = Asked(rows, np.where(carriers, CARRIERS, OTHERS).astype(object), [1.0] * TEXTS)
    halves = halves_of(ids, carriers, 3)
    found = measured(OPTIONS, asked, loaded, halves, CARRIERS, SIBLING_RANKINGS, 32)
    likely = found.without.log_probability.numpy()
    lost = (likely[:, :1] - likely[:, 1:]).reshape(TEXTS, len(SIBLING_RANKINGS), len(LADDER))
    return Planted(found, carriers, lost / (LENGTH - CONTEXT))


def test_only_what_was_seen_is_recited(planted: Planted) -> None:
    """Prevents a truth that is none."""
    clean = planted.found.without.hits[:, 0].numpy()
    assert (clean[planted.carriers] == LENGTH - CONTEXT).all() and clean[~planted.carriers].mean() < 2


def test_neurons_of_other_seen_texts(planted: Planted) -> None:
    """Neurons that other seen texts rank cost a seen text more than random ones of the same layers, and others less."""
    mean = {
        (ranking, group): planted.lost[chosen, place].mean(axis=0)
        for place, ranking in enumerate(SIBLING_RANKINGS)
        for group, chosen in ((CARRIERS, planted.carriers), (OTHERS, ~planted.carriers))
    }
    print({key: value.round(3).tolist() for key, value in mean.items()})
    for size in range(len(LADDER)):
        attributed, random = (mean[f"class_{name}", CARRIERS][size] for name in ("attribution", "random"))
        assert attributed > 1.5 * random
        assert attributed > 1.5 * mean["class_attribution", OTHERS][size]
    assert mean["class_attribution", CARRIERS][-1] > 0.3


def test_completeness_in_a_trained_model(planted: Planted) -> None:
    """Where neurons carry much, too."""
    clean = planted.found.without.log_probability[:, 0].numpy()
    whole = clean - planted.found.bare
    assert np.abs(planted.found.attributed - whole).mean() < 0.05 * np.abs(whole).mean()
