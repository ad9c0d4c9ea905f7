"""Door to recite.verification: the planted truths on the finished tables."""

from pathlib import Path

from recite.door import door
from recite.verification import verify

with door(snakemake):
    verify(
        rates=Path(snakemake.input.rates),
        controls=Path(snakemake.input.controls),
        verdicts=Path(snakemake.output[0]),
        frequencies=[Path(path) for path in snakemake.input.frequencies],
        planted=[Path(path) for path in snakemake.input.planted],
        copies=Path(snakemake.input.copies),
    )
