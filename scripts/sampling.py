"""Door to recite.corpora.sampling: draw the sample of one domain for one tokenizer."""

import json
from pathlib import Path

from recite.corpora.sampling import sample
from recite.jobs.door import door

with door(snakemake):
    sample(
        json.loads(snakemake.params.options),
        candidates=[Path(path) for path in snakemake.input.candidates],
        tokenizer=Path(snakemake.input.tokenizer),
        shards=[Path(path) for path in snakemake.output.shards],
    )
