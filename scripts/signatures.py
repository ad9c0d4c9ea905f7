"""Door to recite.comparison.signatures.summarize: how alike the models' profiles over layers are."""

import json
from pathlib import Path

from recite.comparison.signatures.summarize import compare_signatures
from recite.jobs.door import door

with door(snakemake):
    compare_signatures(
        json.loads(snakemake.params.options),
        tables=[Path(path) for path in snakemake.input],
        outputs={Path(path).stem: Path(path) for path in snakemake.output},
    )
