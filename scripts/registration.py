"""Door to recite.checkpoints.registration: check a checkpoint and write its record."""

import json
from pathlib import Path

from recite.checkpoints.registration import register
from recite.jobs.door import door

with door(snakemake):
    register(
        json.loads(snakemake.params.options) | {"fetch": snakemake.config["fetch"]},
        tokenizer=Path(snakemake.input.tokenizer),
        record=Path(snakemake.output.record),
    )
