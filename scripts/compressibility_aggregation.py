"""Door to recite.compressibility_aggregation: the tables over all models' sufficient suffixes."""

import json
from pathlib import Path

from recite.compressibility_aggregation import aggregate_suffixes
from recite.door import door

with door(snakemake):
    aggregate_suffixes(
        json.loads(snakemake.params.options),
        suffixes=[Path(path) for path in snakemake.input.suffixes],
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
