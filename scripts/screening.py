"""Door to recite.stages.heads.measure.screening: how much every head of one model is estimated to matter to its ablated rows."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.heads.measure.screening import screen_heads

with door(snakemake):
    screen_heads(
        json.loads(snakemake.params.options),
        shards=[Path(path) for path in snakemake.input.shards],
        checkpoint=Path(snakemake.input.checkpoint[0]),
        means=Path(snakemake.input.means[0]) if snakemake.input.means else None,
        screened=Path(snakemake.output.screened),
        threads=snakemake.threads,
    )
