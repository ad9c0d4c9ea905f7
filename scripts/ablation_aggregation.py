"""Door to recite.ablation_aggregation: the importance of every head of all models, and what screening is worth."""

import json
from pathlib import Path

from recite.ablation_aggregation import aggregate_ablation
from recite.door import door

with door(snakemake):
    aggregate_ablation(
        json.loads(snakemake.params.options),
        ablated=[Path(path) for path in snakemake.input.ablated],
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
