"""Door to recite.factorial: architecture against recipe."""

import json
from pathlib import Path

from recite.door import door
from recite.factorial import explain_signatures

with door(snakemake):
    explain_signatures(
        json.loads(snakemake.params.options),
        signatures=Path(snakemake.input.signatures),
        factorial=Path(snakemake.output.factorial),
    )
