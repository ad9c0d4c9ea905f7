"""Door to recite.stages.compressibility.summarize: the tables over all models' sufficient suffixes."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.compressibility.summarize import aggregate_suffixes

with door(snakemake):
    aggregate_suffixes(
        json.loads(snakemake.params.options),
        suffixes=[Path(path) for path in snakemake.input.suffixes],
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
