"""Door to recite.stages.heads.summarize.power: the table power over all models."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.heads.summarize.power import measure_power

with door(snakemake):
    measure_power(
        json.loads(snakemake.params.options),
        ablated=[Path(path) for path in snakemake.input.ablated],
        power=Path(snakemake.output.power),
    )
