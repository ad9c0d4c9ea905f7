"""Door to recite.signatures: how alike the models' profiles over layers are."""

import json
from pathlib import Path

from recite.door import door
from recite.signatures import compare_signatures

with door(snakemake):
    compare_signatures(
        json.loads(snakemake.params.options),
        tables=[Path(path) for path in snakemake.input],
        outputs={Path(path).stem: Path(path) for path in snakemake.output},
    )
