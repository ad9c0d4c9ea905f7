"""Registration as a job has it: a class without a row in the architecture table is proved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recite.checkpoints.registration import register
from recite.engine.proof import prove_checkpoint


def register_proved(options: Mapping[str, Any], tokenizer: Path, record: Path, fetch: bool) -> None:
    """Write the record of a checkpoint, with what was proved of it; see `register` and `prove_checkpoint`."""
    register(options, tokenizer, record, fetch, prove_checkpoint)
