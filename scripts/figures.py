"""Door to recite.figures: draw one figure."""

from pathlib import Path

from recite.door import door
from recite.figures import draw

with door(snakemake):
    draw(
        snakemake.wildcards.figure,
        title=snakemake.params.title,
        tables=[Path(path) for path in snakemake.input],
        outputs=[Path(path) for path in snakemake.output],
        study=snakemake.config["study"],
        code=snakemake.params.code,
    )
