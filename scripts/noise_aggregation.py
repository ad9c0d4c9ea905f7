"""Door to recite.aggregation: the rates of the disturbed models."""

import json
from pathlib import Path

from recite.aggregation import aggregate_noise
from recite.door import door

with door(snakemake):
    aggregate_noise(
        json.loads(snakemake.params.options),
        scores=[Path(path) for path in snakemake.input.scores],
        noisy=[Path(path) for path in snakemake.input.noisy],
        rates=Path(snakemake.output.rates),
        replicates=Path(snakemake.output.replicates),
    )
