"""Random-weight checkpoints of all six architectures, made offline once per run.

What only models need, torch and transformers, is imported where one is made: most files of tests need none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recite.checkpoints.architectures import ARCHITECTURES, Shape

if TYPE_CHECKING:
    import torch
    import transformers

    from recite.checkpoints.loading import Checkpoint

VOCABULARY = 300
SHAPE = Shape(layers=3, width=48, heads=3)

# Jobs compute on one thread; so do the tests, and what they start.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", params=list(ARCHITECTURES))
def family(request: pytest.FixtureRequest) -> str:
    """Every row of the architecture table in turn."""
    return request.param


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family -> folder of its random-weight checkpoint; not to be changed by a test."""
    from transformers.utils import logging

    from recite.checkpoints.training import build_model

    logging.disable_progress_bar()
    root = tmp_path_factory.mktemp("checkpoints")

    def folder(family: str) -> Path:
        path = root / family
        if not path.exists():
            build_model(family, SHAPE, VOCABULARY, 64, seed=5).save_pretrained(path)
        return path

    return folder


@pytest.fixture(scope="session")
def checkpoint(family: str, checkpoint_folder: Callable[[str], Path]) -> Checkpoint:
    """The family's random-weight model, loaded in float32."""
    from recite.checkpoints.loading import load_checkpoint

    return load_checkpoint(checkpoint_folder(family), "float32", batch_rows=8)


@pytest.fixture
def spread(family: str, checkpoint_folder: Callable[[str], Path]) -> Checkpoint:
    """The same with every part's forward replaced by accelerate's, as of a model that lies on several GPUs."""
    from accelerate import dispatch_model

    from recite.checkpoints.loading import load_checkpoint

    found = load_checkpoint(checkpoint_folder(family), "float32", batch_rows=8)
    path = found.architecture.layers
    parent, _, last = path.rpartition(".")
    parts = [f"{parent}.{name}" for name, _ in found.model.get_submodule(parent).named_children() if name != last]
    parts += [f"{path}.{layer}" for layer in range(SHAPE.layers)] + ["lm_head"]
    dispatch_model(found.model, dict.fromkeys(parts, found.model.device), force_hooks=True)
    return found


@pytest.fixture(scope="session")
def reference(family: str, checkpoint_folder: Callable[[str], Path]) -> transformers.PreTrainedModel:
    """The same weights in the plain model of `transformers`, on the CPU: its own attention, cache and linear layers."""
    import transformers

    model_class = getattr(transformers, ARCHITECTURES[family].model_class)
    return model_class.from_pretrained(checkpoint_folder(family)).eval()


@pytest.fixture
def context() -> torch.Tensor:
    """23 rows of 32 random tokens: not a multiple of any batch size in use."""
    import torch

    return torch.randint(0, VOCABULARY, (23, 32), generator=torch.Generator().manual_seed(3))
