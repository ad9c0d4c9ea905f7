"""Door to recite.comparison.claims.judge: the claims and their verdicts."""

import json
from pathlib import Path

from recite.comparison.claims.judge import judge
from recite.jobs.door import door

with door(snakemake):
    judge(
        json.loads(snakemake.params.claims),
        tables=[Path(path) for path in snakemake.input],
        ledger=Path(snakemake.output.claims),
    )
