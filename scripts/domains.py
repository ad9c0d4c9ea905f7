"""Door to recite.comparison.domains.summarize: the tables of kinds of domains and of profiles over domains."""

import json
from pathlib import Path

from recite.comparison.domains.summarize import compare_domains
from recite.jobs.door import door

with door(snakemake):
    compare_domains(
        json.loads(snakemake.params.options),
        replicates=[Path(path) for path in snakemake.input.replicates],
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
