"""Door to recite.stages.scoring.summarize: the tables over all models' scores."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.scoring.summarize import aggregate_scores

with door(snakemake):
    aggregate_scores(
        json.loads(snakemake.params.options),
        scores=[Path(path) for path in snakemake.input.scores],
        planted=[Path(path) for path in snakemake.input.planted],
        controls=next(map(Path, snakemake.input.controls), None),
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
