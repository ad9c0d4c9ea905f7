"""Door to recite.stages.compressibility.measure: find the sufficient suffixes of one part of a model's memorized rows."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.compressibility.measure import shorten

with door(snakemake):
    shorten(
        json.loads(snakemake.params.options),
        scores=Path(snakemake.input.scores),
        shards=[Path(path) for path in snakemake.input.shards],
        checkpoint=Path(snakemake.input.checkpoint[0]),
        suffixes=Path(snakemake.output.suffixes),
        threads=snakemake.threads,
    )
