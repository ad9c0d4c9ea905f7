"""Training and registration as jobs have them: a checkpoint's folder is that of its weights, its class is proved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recite.checkpoints.registration import register
from recite.checkpoints.training import train_model
from recite.engine.proof.proving import prove_checkpoint


def train(
    options: Mapping[str, Any], rows: Path, tokenizer: Path, tokenizer_config: Path, weights: Path, threads: int
) -> None:
    """Train one model and write its checkpoint's folder; see `train_model`."""
    train_model(options, rows, tokenizer, tokenizer_config, weights.parent, threads)


def register_proved(options: Mapping[str, Any], tokenizer: Path, record: Path, fetch: bool) -> None:
    """Write the record of a checkpoint, and for a class without a row prove it; see `register`."""
    register(options, tokenizer, record, fetch, prove_checkpoint)
