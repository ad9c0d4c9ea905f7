"""Door to recite.inventory: list the files of a corpus."""

import json
from pathlib import Path

from recite.door import door
from recite.inventory import take_inventory

with door(snakemake):
    take_inventory(
        json.loads(snakemake.params.options) | {"fetch": snakemake.config["fetch"]},
        inventory=Path(snakemake.output.inventory),
    )
