"""Door to recite.comparison.scaling.summarize: the tables of rates against model size."""

import json
from pathlib import Path

from recite.comparison.scaling.summarize import fit_scaling
from recite.jobs.door import door

with door(snakemake):
    fit_scaling(
        json.loads(snakemake.params.options),
        replicates=Path(snakemake.input.replicates),
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
