"""Door to recite.checkpoints.training: train one model."""

import json
from pathlib import Path

from recite.checkpoints.training import train_model
from recite.jobs.door import door

with door(snakemake):
    train_model(
        json.loads(snakemake.params.options),
        rows=Path(snakemake.input.rows),
        tokenizer=Path(snakemake.input.tokenizer),
        tokenizer_config=Path(snakemake.input.tokenizer_config),
        folder=Path(snakemake.output.weights).parent,
        threads=snakemake.threads,
    )
