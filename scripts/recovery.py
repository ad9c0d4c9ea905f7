"""Door to recite.stages.recovery.measure: compare one model's disturbed and undisturbed layers on one part of its sample."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.recovery.measure import measure_recovery

with door(snakemake):
    measure_recovery(
        json.loads(snakemake.params.options),
        alpha=float(snakemake.wildcards.alpha),
        shards=[Path(path) for path in snakemake.input.shards],
        checkpoint=Path(snakemake.input.checkpoint[0]),
        recovery=Path(snakemake.output.recovery),
        threads=snakemake.threads,
    )
