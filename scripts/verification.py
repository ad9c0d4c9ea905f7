"""Door to recite.stages.verification.verify: the planted truths on the finished tables."""

from pathlib import Path

from recite.jobs.door import door
from recite.stages.verification.verify import verify

with door(snakemake):
    verify(
        rates=Path(snakemake.input.rates),
        controls=Path(snakemake.input.controls),
        verdicts=Path(snakemake.output[0]),
        frequencies=[Path(path) for path in snakemake.input.frequencies],
        planted=[Path(path) for path in snakemake.input.planted],
        copies=Path(snakemake.input.copies),
    )
