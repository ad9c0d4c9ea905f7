"""Door to recite.stages.heads.measure.ablation: ablate some layers' heads of one model on one part of its sample."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.heads.measure.ablation import measure_heads

with door(snakemake):
    measure_heads(
        json.loads(snakemake.params.options),
        shards=[Path(path) for path in snakemake.input.shards],
        checkpoint=Path(snakemake.input.checkpoint[0]),
        screened=Path(snakemake.input.screened[0]) if snakemake.input.screened else None,
        means=Path(snakemake.input.means[0]) if snakemake.input.means else None,
        ablated=Path(snakemake.output.ablated),
        threads=snakemake.threads,
    )
