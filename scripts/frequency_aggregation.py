"""Door to recite.stages.frequency.summarize: rates by frequency and thresholds."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.frequency.summarize import aggregate_frequencies

with door(snakemake):
    aggregate_frequencies(
        json.loads(snakemake.params.options),
        scores=[Path(path) for path in snakemake.input.scores],
        frequencies=[Path(path) for path in snakemake.input.frequencies],
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
