"""Door to recite.stages.lens.measure: decode every layer of one model on one part of its sample."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.lens.measure import decode_layers

with door(snakemake):
    decode_layers(
        json.loads(snakemake.params.options),
        scores=Path(snakemake.input.scores),
        shards=[Path(path) for path in snakemake.input.shards],
        checkpoint=Path(snakemake.input.checkpoint[0]),
        lens=Path(snakemake.output.lens),
        positions=Path(snakemake.output.positions),
        threads=snakemake.threads,
    )
