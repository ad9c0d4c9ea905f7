"""Door to recite.verification: the planted truths on the finished tables."""

from pathlib import Path

from recite.door import door
from recite.verification import verify

with door(snakemake):
    verify(
        rates=Path(snakemake.input.rates),
        controls=Path(snakemake.input.controls),
        verdicts=Path(snakemake.output[0]),
    )
