"""Door to recite.stages.scoring.summarize: the rates of the disturbed models."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.noise.summarize import aggregate_noise

with door(snakemake):
    aggregate_noise(
        json.loads(snakemake.params.options),
        scores=[Path(path) for path in snakemake.input.scores],
        noisy=[Path(path) for path in snakemake.input.noisy],
        rates=Path(snakemake.output.rates),
        replicates=Path(snakemake.output.replicates),
    )
