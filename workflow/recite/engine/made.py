"""What every file that a model's run wrote says of its making."""

from collections.abc import Mapping
from typing import Any

from recite.checkpoints.loading import Checkpoint


def made(options: Mapping[str, Any], checkpoint: Checkpoint, batch_rows: int, **more: Any) -> dict[str, Any]:
    """The options of a job, the weights and what they ran on, the rows of a pass, and what else there is to say."""
    return {
        "options": dict(options),
        "batch_rows": batch_rows,
        "parameters": checkpoint.parameters,
        "weights_sha256": checkpoint.weights_sha256,
        "device": checkpoint.device,
        "dtype": checkpoint.dtype,
        **more,
    }
