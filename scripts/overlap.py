"""Door to recite.stages.heads.summarize.overlap: the table overlap over all models."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.heads.summarize.overlap import measure_overlap

with door(snakemake):
    measure_overlap(
        json.loads(snakemake.params.options),
        ablated=[Path(path) for path in snakemake.input.ablated],
        overlap=Path(snakemake.output.overlap),
    )
