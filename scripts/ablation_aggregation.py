"""Door to recite.stages.heads.summarize.ranking: the importance of every head of all models, and what screening is worth."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.heads.summarize.ranking import aggregate_ablation

with door(snakemake):
    aggregate_ablation(
        json.loads(snakemake.params.options),
        ablated=[Path(path) for path in snakemake.input.ablated],
        outputs={name: Path(path) for name, path in snakemake.output.items()},
    )
