"""Door to recite.ledger: the claims and their verdicts."""

import json
from pathlib import Path

from recite.door import door
from recite.ledger import judge

with door(snakemake):
    judge(
        json.loads(snakemake.params.claims),
        tables=[Path(path) for path in snakemake.input],
        ledger=Path(snakemake.output.claims),
    )
