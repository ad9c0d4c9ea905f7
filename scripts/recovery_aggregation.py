"""Door to recite.stages.recovery.summarize: the tables over all models' recovery from noise."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.recovery.summarize import aggregate_recovery

with door(snakemake):
    aggregate_recovery(
        json.loads(snakemake.params.options),
        scores=[Path(path) for path in snakemake.input.scores],
        recovery=[Path(path) for path in snakemake.input.recovery],
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
