"""Door to recite.frequency_aggregation: rates by frequency and thresholds."""

import json
from pathlib import Path

from recite.door import door
from recite.frequency_aggregation import aggregate_frequencies

with door(snakemake):
    aggregate_frequencies(
        json.loads(snakemake.params.options),
        scores=[Path(path) for path in snakemake.input.scores],
        frequencies=[Path(path) for path in snakemake.input.frequencies],
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
