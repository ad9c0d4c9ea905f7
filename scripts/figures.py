"""Door to recite.report.drawing: draw one figure."""

from pathlib import Path

from recite.jobs.door import door
from recite.report.drawing import draw

with door(snakemake):
    draw(
        snakemake.wildcards.figure,
        title=snakemake.params.title,
        tables=[Path(path) for path in snakemake.input],
        outputs=[Path(path) for path in snakemake.output],
        study=snakemake.config["study"],
        code=snakemake.params.code,
    )
