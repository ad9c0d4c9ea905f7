"""Door to recite.scaling: the tables of rates against model size."""

import json
from pathlib import Path

from recite.door import door
from recite.scaling import fit_scaling

with door(snakemake):
    fit_scaling(
        json.loads(snakemake.params.options),
        replicates=Path(snakemake.input.replicates),
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
