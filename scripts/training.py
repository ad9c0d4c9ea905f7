"""Door to recite.training: train one model."""

import json
from pathlib import Path

from recite.door import door
from recite.training import train_model

with door(snakemake):
    train_model(
        json.loads(snakemake.params.options),
        rows=Path(snakemake.input.rows),
        tokenizer=Path(snakemake.input.tokenizer),
        tokenizer_config=Path(snakemake.input.tokenizer_config),
        folder=Path(snakemake.output.weights).parent,
        threads=snakemake.threads,
    )
