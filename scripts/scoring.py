"""Door to recite.stages.scoring.measure: score one model on one part of its sample."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.scoring.measure import score

with door(snakemake):
    score(
        json.loads(snakemake.params.options),
        shards=[Path(path) for path in snakemake.input.shards],
        checkpoint=Path(snakemake.input.checkpoint[0]),
        batch=next(map(Path, snakemake.input.batch), None),
        scores=Path(snakemake.output.scores),
        threads=snakemake.threads,
    )
