"""Door to recite.registration: check a checkpoint and write its record."""

import json
from pathlib import Path

from recite.door import door
from recite.registration import register

with door(snakemake):
    register(
        json.loads(snakemake.params.options) | {"fetch": snakemake.config["fetch"]},
        tokenizer=Path(snakemake.input.tokenizer),
        record=Path(snakemake.output.record),
    )
