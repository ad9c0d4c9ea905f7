"""Door to recite.stages.heads.measure.ablation: the mean output of every head of one model over its ablated rows."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.heads.measure.ablation import measure_means

with door(snakemake):
    measure_means(
        json.loads(snakemake.params.options),
        shards=[Path(path) for path in snakemake.input.shards],
        checkpoint=Path(snakemake.input.checkpoint[0]),
        means=Path(snakemake.output.means),
        threads=snakemake.threads,
    )
