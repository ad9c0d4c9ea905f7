"""Door to recite.aggregation: the tables over all models' scores."""

import json
from pathlib import Path

from recite.aggregation import aggregate_scores
from recite.door import door

with door(snakemake):
    aggregate_scores(
        json.loads(snakemake.params.options),
        scores=[Path(path) for path in snakemake.input.scores],
        planted=[Path(path) for path in snakemake.input.planted],
        controls=next(map(Path, snakemake.input.controls), None),
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
