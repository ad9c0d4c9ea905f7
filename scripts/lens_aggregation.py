"""Door to recite.stages.lens.summarize: the tables over all models' decoded layers."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.lens.summarize import aggregate_lens

with door(snakemake):
    aggregate_lens(
        json.loads(snakemake.params.options),
        scores=[Path(path) for path in snakemake.input.scores],
        lens=[Path(path) for path in snakemake.input.lens],
        positions=[Path(path) for path in snakemake.input.positions],
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
