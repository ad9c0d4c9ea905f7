"""Door to recite.corpora.inventory: list the files of a corpus."""

import json
from pathlib import Path

from recite.corpora.inventory import take_inventory
from recite.jobs.door import door

with door(snakemake):
    take_inventory(
        json.loads(snakemake.params.options) | {"fetch": snakemake.config["fetch"]},
        inventory=Path(snakemake.output.inventory),
    )
