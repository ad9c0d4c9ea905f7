"""Door to recite.comparison.factorial.summarize: architecture against recipe."""

import json
from pathlib import Path

from recite.comparison.factorial.summarize import explain_signatures
from recite.jobs.door import door

with door(snakemake):
    explain_signatures(
        json.loads(snakemake.params.options),
        signatures=Path(snakemake.input.signatures),
        factorial=Path(snakemake.output.factorial),
    )
