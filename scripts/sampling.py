"""Door to recite.sampling: draw the sample of every domain for one tokenizer."""

import json
from pathlib import Path

from recite.door import door
from recite.sampling import sample

with door(snakemake):
    sample(
        json.loads(snakemake.params.options),
        documents=[Path(path) for path in snakemake.input.documents],
        tokenizer=Path(snakemake.input.tokenizer),
        shards={shard: Path(path) for shard, path in snakemake.output.items()},
    )
