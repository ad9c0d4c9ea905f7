"""Door to recite.recovery_aggregation: the tables over all models' recovery from noise."""

import json
from pathlib import Path

from recite.door import door
from recite.recovery_aggregation import aggregate_recovery

with door(snakemake):
    aggregate_recovery(
        json.loads(snakemake.params.options),
        scores=[Path(path) for path in snakemake.input.scores],
        recovery=[Path(path) for path in snakemake.input.recovery],
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
