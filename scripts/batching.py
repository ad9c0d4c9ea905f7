"""Door to recite.stages.batching.measure: measure which batch size is fastest for one model."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.batching.measure import search

with door(snakemake):
    search(
        json.loads(snakemake.params.options),
        checkpoint=Path(snakemake.input.checkpoint[0]),
        memory=snakemake.resources.mem_mb * 10**6,
        result=Path(snakemake.output.batch),
        threads=snakemake.threads,
    )
