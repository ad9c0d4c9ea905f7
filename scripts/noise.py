"""Door to recite.stages.noise.measure: score one model on one part of its sample at one noise strength."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.noise.measure import score_under_noise

with door(snakemake):
    score_under_noise(
        json.loads(snakemake.params.options),
        alpha=float(snakemake.wildcards.alpha),
        shards=[Path(path) for path in snakemake.input.shards],
        checkpoint=Path(snakemake.input.checkpoint[0]),
        batch=next(map(Path, snakemake.input.batch), None),
        scores=Path(snakemake.output.scores),
        threads=snakemake.threads,
    )
