"""Training as a job has it: the checkpoint's folder is that of its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recite.checkpoints.training import train_model


def train(
    options: Mapping[str, Any], rows: Path, tokenizer: Path, tokenizer_config: Path, weights: Path, threads: int
) -> None:
    """Train one model and write its checkpoint's folder; see `train_model`."""
    train_model(options, rows, tokenizer, tokenizer_config, weights.parent, threads)
